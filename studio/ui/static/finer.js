// A LoRA's trigger phrases and the fields of its finer strength: the row's `pick` event says all of
// them, for the answer to the last one may still be on its way. They are drawn anew with every
// answer, and stay open and focused.
{
  let open = false;
  let focused = null;
  const all = (kind) => [...element.querySelectorAll(`[data-${kind}]`)];
  const isUsed = (phrase) => phrase.getAttribute('aria-pressed') === 'true';
  const use = (phrase, used) => phrase.setAttribute('aria-pressed', String(used));
  element.addEventListener('toggle', (event) => {
    if (event.target.matches('.ls-finer')) open = event.target.open;
  }, true);
  element.addEventListener('focusin', (event) => {
    const {finer, phrase} = event.target.dataset;
    focused = finer ? ['finer', finer] : phrase ? ['phrase', phrase] : null;
  });
  element.addEventListener('click', (event) => {
    const phrase = event.target.closest('[data-phrase]');
    if (!phrase) return;
    const phrases = all('phrase');
    const isOne = phrase.parentElement.hasAttribute('data-one');
    const used = isUsed(phrase);
    if (isOne) phrases.forEach((each) => use(each, false));
    else if (used && phrases.filter(isUsed).length === 1) return;
    use(phrase, !used);
    const said = phrases.filter(isUsed).map((each) => each.dataset.phrase);
    trigger('pick', {key: `phrases ${JSON.stringify(said)}`});
  });
  element.addEventListener('change', (event) => {
    if (!event.target.dataset.finer) return;
    const said = all('finer').filter((each) => each.value.trim())
      .map((each) => `${each.dataset.finer}=${each.value.trim()}`);
    trigger('pick', {key: `finer ${said.join(':')}`});
  });
  watch('value', () => {
    const fold = element.querySelector('.ls-finer');
    if (fold && open) fold.open = true;
    if (!focused || document.activeElement !== document.body) return;
    const [kind, name] = focused;
    element.querySelector(`[data-${kind}="${CSS.escape(name)}"]`)?.focus();
  });
}
