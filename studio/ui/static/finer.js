// The fields of a LoRA's finer strength: what is typed is the row's `pick` event. They are drawn anew
// with every answer, and stay open and focused.
{
  let open = false;
  let focused = null;
  element.addEventListener('toggle', (event) => {
    if (event.target.matches('.ls-finer')) open = event.target.open;
  }, true);
  element.addEventListener('focusin', (event) => { focused = event.target.dataset.finer || null; });
  element.addEventListener('change', (event) => {
    const {finer} = event.target.dataset;
    if (finer) trigger('pick', {key: `finer ${finer}=${event.target.value}`});
  });
  watch('value', () => {
    const fold = element.querySelector('.ls-finer');
    if (fold && open) fold.open = true;
    if (!fold || !focused || document.activeElement !== document.body) return;
    fold.querySelector(`[data-finer="${CSS.escape(focused)}"]`)?.focus();
  });
}
