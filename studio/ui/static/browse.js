// A button `data-browse` inside our own markup opens the LoRA browser. What comes of it is told to the
// server as the `pick` event: the button's key and the slugs.
{
  const list = (text) => (text ? text.split(' ') : []);
  let opened = null;
  element.addEventListener('click', (event) => {
    const button = event.target.closest('[data-browse]');
    if (!button || !element.contains(button)) return;
    const {browse, architecture, taken, picked, many, title} = button.dataset;
    opened = browse;
    document.dispatchEvent(new CustomEvent('ls-browse', {detail: {
      architecture, title, many: Boolean(many), taken: list(taken), picked: list(picked),
      done: (slugs) => trigger('pick', {key: [browse, ...slugs].join(' ')}),
    }}));
  });
  watch('value', () => {
    if (opened === null || document.activeElement !== document.body) return;
    const again = element.querySelector(`[data-browse="${CSS.escape(opened)}"]`);
    if (again) again.focus();
    opened = null;
  });
}
