// Clicks inside our own markup, told to the server as the `pick` event. What was clicked keeps the
// focus when its answer draws the markup anew.
{
  let last = null;
  element.addEventListener('click', (event) => {
    const row = event.target.closest('[data-pick]');
    if (!row || !element.contains(row)) return;
    last = row.dataset.pick;
    if (row.matches('.ls-arm-picture')) {
      element.querySelectorAll('.ls-chosen').forEach((each) => each.classList.remove('ls-chosen'));
      row.classList.add('ls-chosen');
      const look = document.getElementById('look');
      if (look && look.getBoundingClientRect().top > innerHeight - 200) look.scrollIntoView();
    }
    trigger('pick', {key: last});
  });
  watch('value', () => {
    if (last === null || document.activeElement !== document.body) return;
    const same = `[data-pick="${CSS.escape(last)}"]`;
    const again = element.querySelector(same) || element.querySelector('[data-pick]');
    if (again) (again.matches('button, a') ? again : again.querySelector('button')).focus();
    last = null;
  });
}
