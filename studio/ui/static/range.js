// A number beyond its slider's range is told and not taken: gradio would refuse it with an error,
// and then put the nearest end in its place.
const slot = element.closest('.ls-slot');
const note = document.createElement('p');
note.className = 'ls-problem';
note.setAttribute('role', 'alert');
const range = () => slot.querySelector('input[type=range]');
slot.addEventListener('input', (event) => {
  const {min, max, value} = range();
  const typed = event.target.matches('input[type=number]') ? event.target.value : '';
  if (typed === '' || (Number(typed) >= Number(min) && Number(typed) <= Number(max))) {
    note.remove();
    return;
  }
  event.stopPropagation();
  note.textContent = `${typed} is beyond this LoRA's range, ${min} to ${max}: it stays at ${value}.`;
  element.after(note);
}, true);
slot.addEventListener('focusout', ({target}) => {
  if (note.isConnected && target.matches('input[type=number]')) target.value = range().value;
}, true);
