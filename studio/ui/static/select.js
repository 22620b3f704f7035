// The tiles that are ticked, and what is decided on all of them: the component's `decide` event.
{
  const boxes = () => [...element.querySelectorAll('[data-select]')];
  const chosen = () => boxes().filter((each) => each.checked).map((each) => each.dataset.select);
  const show = () => {
    const bar = element.querySelector('.ls-bulk');
    if (!bar) return;
    const count = chosen().length;
    bar.querySelector('.ls-bulk-count').textContent = count ? `${count} selected` : 'None selected';
    bar.querySelectorAll('[data-decide]').forEach((each) => { each.disabled = !count; });
  };
  element.addEventListener('change', show);
  element.addEventListener('click', (event) => {
    const all = event.target.closest('[data-all]');
    if (all) {
      const every = boxes().every((each) => each.checked);
      boxes().forEach((each) => { each.checked = !every; });
      show();
    }
    const button = event.target.closest('[data-decide]');
    if (!button) return;
    trigger('decide', {key: button.dataset.decide, names: chosen()});
    boxes().forEach((each) => { each.checked = false; });
    show();
  });
}
