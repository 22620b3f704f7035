// The page's keys, the sheet that lists them, and the focus where a view takes another's place.
const seen = (selector) => {
  const found = document.querySelector(selector);
  return found && found.getClientRects().length ? found : null;
};
const press = (selector) => () => {
  const button = seen(selector);
  if (button && !button.disabled) button.click();
  return button;
};
const focus = (selector) => () => {
  const field = seen(selector);
  if (field) field.focus();
  return field;
};
const along = (selector, by) => () => {
  const all = [...document.querySelectorAll(selector)].filter((each) => each.getClientRects().length);
  const at = all.indexOf(document.activeElement);
  const next = all[at < 0 ? 0 : Math.min(all.length - 1, Math.max(0, at + by))];
  if (next) next.focus();
  return next;
};
const decide = (review) => [
  [['a'], 'Approve', press(`${review} .ls-approve`)],
  [['r'], 'Reject', press(`${review} .ls-reject`)],
  [['n'], 'Write a note', focus(`${review} textarea`)],
];
const PLACES = [
  ['Blind vote', '#blind', [
    [['1', 'ArrowLeft'], 'The first is better', press('#vote-first')],
    [['2', 'ArrowRight'], 'The second is better', press('#vote-second')],
    [['0', 'ArrowDown'], 'Equal', press('#vote-equal')],
  ]],
  ['Blind tournament of a trial', '#trial-blind', [
    [['1', 'ArrowLeft'], 'The first is better', press('#duel-first')],
    [['2', 'ArrowRight'], 'The second is better', press('#duel-second')],
    [['0', 'ArrowDown'], 'Equal', press('#duel-equal')],
    [['Escape'], 'Stop and see the order', press('#duel-stop')],
  ]],
  ['A picture of the gallery', '#opened', [
    [['ArrowLeft'], 'The previous picture', press('#previous-picture')],
    [['ArrowRight'], 'The next picture', press('#next-picture')],
    ...decide('#review'),
    [['Escape'], 'Back to all pictures', press('#opened .ls-back')],
  ]],
  ['Gallery', '#gallery', [
    [['ArrowLeft'], 'To the picture before', along('#gallery .ls-thumb', -1)],
    [['ArrowRight'], 'To the next picture', along('#gallery .ls-thumb', 1)],
  ]],
  ['Studio', '#add-lora', [[['/'], 'Find a LoRA', press('#add-lora [data-browse]')]]],
  ['A pair of a comparison', '#look', decide('#cell-review')],
];
const named = {ArrowLeft: '←', ArrowRight: '→', ArrowDown: '↓', Escape: 'Esc'};
const help = () => {
  let sheet = document.getElementById('ls-keys');
  if (!sheet) {
    sheet = document.createElement('dialog');
    sheet.id = 'ls-keys';
    sheet.className = 'ls-keys';
    sheet.setAttribute('aria-label', 'Keys');
    const rows = [
      ['Everywhere', '', [[['Ctrl + Enter'], 'Generate, or compare'], [['?'], 'This sheet']]],
      ['LoRA browser', '', [
        [['/'], 'To the words'],
        [['Enter'], 'Take this LoRA, or the first'],
        [['f'], 'Favourite or not'],
      ]],
      ['Large picture', '', [[['ArrowLeft', 'ArrowRight'], 'The pictures beside it'], [['Escape'], 'Close']]],
      ...PLACES,
    ];
    for (const [title, , keys] of rows) {
      const list = document.createElement('dl');
      for (const [names, does] of keys) {
        const term = document.createElement('dt');
        for (const name of names) {
          const key = document.createElement('kbd');
          key.textContent = named[name] || name;
          term.append(key, ' ');
        }
        const meaning = document.createElement('dd');
        meaning.textContent = does;
        list.append(term, meaning);
      }
      const head = document.createElement('h2');
      head.textContent = title;
      sheet.append(head, list);
    }
    const choice = document.createElement('label');
    const box = document.createElement('input');
    box.type = 'checkbox';
    box.checked = localStorage.getItem('lora-studio-sound') === 'on';
    box.addEventListener('change', () => {
      localStorage.setItem('lora-studio-sound', box.checked ? 'on' : 'off');
    });
    choice.append(box, ' Play a sound when a run of more than ten seconds ends');
    sheet.prepend(choice);  // the first that takes the focus stands first
    const close = document.createElement('button');
    close.type = 'button';
    close.className = 'ls-button';
    close.textContent = 'Close';
    close.addEventListener('click', () => sheet.close());
    sheet.append(close);
    (element.closest('.contain') || document.body).append(sheet);
  }
  sheet.showModal();
};
// A list takes Tab for a letter and opens again; leaving its field then closes it.
window.addEventListener('keydown', (event) => {
  if (event.key === 'Tab' && event.target.closest('.wrap-inner')) event.stopPropagation();
}, true);
document.addEventListener('keydown', (event) => {
  const {target, key} = event;
  if (event.defaultPrevented || document.querySelector('dialog[open]')) return;
  if (key === 'Enter' && (event.ctrlKey || event.metaKey)) {
    const button = seen('#generate') || seen('#compare');
    if (button && !button.disabled) button.click();
    event.preventDefault();
    return;
  }
  const typing = target.closest('input:not([type="radio"]):not([type="checkbox"]), textarea, select');
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (key === '?') { help(); event.preventDefault(); return; }
  if (target.matches('input') && key.startsWith('Arrow')) return;
  const place = PLACES.find(([, where]) => seen(where));
  const found = place && place[2].find(([names]) => names.includes(key));
  if (found && found[2]()) event.preventDefault();
});
const whenSeen = (selector, then, tries = 100) => {
  const found = seen(selector);
  if (found) then(found);
  else if (tries) setTimeout(() => whenSeen(selector, then, tries - 1), 50);
};
document.addEventListener('click', (event) => {
  if (event.target.closest('[data-help]')) help();
  const thumb = event.target.closest('.ls-thumb[data-pick]');
  if (thumb) {
    whenSeen('#opened .ls-back', (back) => { back.focus(); scrollTo(0, 0); });
  }
  if (event.target.closest('#opened .ls-back')) {
    const file = document.querySelector('#opened .ls-file').textContent;
    whenSeen(`#gallery [data-pick$="${CSS.escape(file)}"]`, (again) => again.focus());
  }
  const row = event.target.closest('#catalogue [data-pick]');
  if (row) document.querySelectorAll('.ls-aside-column').forEach((each) => each.classList.remove('ls-closed'));
  if (event.target.closest('[data-close-details]')) {
    event.target.closest('.ls-aside-column').classList.add('ls-closed');
    whenSeen('#catalogue .ls-picked button, #catalogue button.ls-picked', (again) => again.focus());
  }
  if (event.target.closest('#use-in-studio')) whenSeen('#add-lora', () => scrollTo(0, 0));
  if (event.target.closest('#blind button')) {
    whenSeen('#tally .ls-tally', (tally) => tally.scrollIntoView({block: 'center'}));
  }
  const fold = event.target.closest('.ls-settings');
  if (fold && event.target.closest('.label-wrap')) {
    setTimeout(() => {
      const panel = fold.getBoundingClientRect();
      if (panel.bottom > innerHeight - 120) fold.scrollIntoView({block: 'start'});
    }, 250);
  }
}, true);
