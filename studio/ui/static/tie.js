// What stands beside an input is read with it, and that it is wrong is told.
const field = element.closest('.ls-field');
const tie = () => {
  const wrong = element.querySelector('.ls-problem') !== null;
  element.id = element.id || `hint-${Math.random().toString(36).slice(2)}`;
  for (const input of field ? field.querySelectorAll('input, textarea') : []) {
    input.setAttribute('aria-describedby', element.id);
    input.setAttribute('aria-invalid', String(wrong));
  }
  // What is wrong with the field one is in must not lie beneath the bar.
  if (wrong && field && field.contains(document.activeElement)) {
    element.scrollIntoView({block: 'nearest'});
  }
};
watch('value', tie);
tie();
