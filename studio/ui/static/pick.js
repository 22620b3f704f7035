// Clicks inside our own markup, told to the server as the `pick` event.
element.addEventListener('click', (event) => {
  const row = event.target.closest('[data-pick]');
  if (row && element.contains(row)) trigger('pick', {key: row.dataset.pick});
});
