// A LoRA's trigger phrases and the fields of its finer strength: the row's `pick` event says all of
// them. They are drawn anew with every answer, and stay open, focused and as they are typed in. One
// event is asked at a time: answers to two could come in the other order.
{
  const PATIENCE = 8000;  // milliseconds; an answer that changes nothing is not told here
  let open = false;
  let focused = null;
  let whose = null;
  let typed = {};
  let sent = {};
  let asked = null;
  let next = null;
  const all = (kind) => [...element.querySelectorAll(`[data-${kind}]`)];
  const isUsed = (phrase) => phrase.getAttribute('aria-pressed') === 'true';
  const use = (phrase, used) => phrase.setAttribute('aria-pressed', String(used));
  const answered = () => {
    clearTimeout(asked);
    asked = null;
    const key = next;
    next = null;
    if (key !== null) tell(key);
    return key !== null;
  };
  const tell = (key) => {
    if (asked !== null) {
      next = key;
      return;
    }
    asked = setTimeout(answered, PATIENCE);
    trigger('pick', {key});
  };
  element.addEventListener('toggle', (event) => {
    if (event.target.matches('.ls-finer')) open = event.target.open;
  }, true);
  element.addEventListener('focusin', (event) => {
    const {finer, phrase} = event.target.dataset;
    focused = finer ? ['finer', finer] : phrase ? ['phrase', phrase] : null;
  });
  element.addEventListener('input', (event) => {
    const {finer} = event.target.dataset;
    if (finer) typed[finer] = event.target.value;
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
    tell(`phrases ${JSON.stringify(said)}`);
  });
  element.addEventListener('change', (event) => {
    if (!event.target.dataset.finer) return;
    sent = {...typed};
    const said = all('finer').filter((each) => each.value.trim())
      .map((each) => `${each.dataset.finer}=${each.value.trim()}`);
    tell(`finer ${said.join(':')}`);
  });
  watch('value', () => {
    const fold = element.querySelector('.ls-finer');
    if (fold && open) fold.open = true;
    if (fold?.dataset.keep !== whose) [typed, sent] = [{}, {}];  // another LoRA is in this row
    whose = fold?.dataset.keep;
    // What was typed meanwhile stands there until it is answered itself.
    for (const field of all('finer')) field.value = typed[field.dataset.finer] ?? field.value;
    if (!answered()) {
      for (const name of Object.keys(sent)) if (typed[name] === sent[name]) delete typed[name];
      sent = {};
    }
    if (!focused || document.activeElement !== document.body) return;
    const [kind, name] = focused;
    element.querySelector(`[data-${kind}="${CSS.escape(name)}"]`)?.focus();
  });
}
