// A sheet that is drawn anew keeps what the reader had opened.
const opened = new Set();
element.addEventListener('toggle', (event) => {
  const key = event.target.dataset.keep;
  if (key) event.target.open ? opened.add(key) : opened.delete(key);
}, true);
watch('value', () => element.querySelectorAll('details[data-keep]').forEach((one) => {
  one.open = opened.has(one.dataset.keep);
}));
