// A number beyond its slider's range is put into it when the field is left; that it was is told.
const slot = element.closest('.ls-slot');
const note = document.createElement('p');
note.className = 'ls-problem';
note.setAttribute('role', 'alert');
slot.addEventListener('input', ({target}) => {
  const range = slot.querySelector('input[type=range]');
  if (!range || !target.matches('input[type=number], input[type=range]')) return;
  const [low, high, typed] = [Number(range.min), Number(range.max), Number(target.value)];
  const used = Math.min(Math.max(typed, low), high);
  note.textContent = `${typed} is beyond this LoRA's range, ${low} to ${high}: it becomes ${used}.`;
  if (target.value === '' || typed === used) note.remove();
  else element.after(note);
}, true);
