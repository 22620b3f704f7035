// The LoRA browser: a dialog over the page. Whoever wants a LoRA tells the document `ls-browse`, with
// what it may be and what to do with the answer; the cards come from the server, a page at a time.
// The `pick` event tells the server whose training run is to be tried.
const dialog = element.querySelector('dialog');
const found = dialog.querySelector('.ls-browser-found');
const fields = [...dialog.querySelectorAll('[name]')];
const footer = dialog.querySelector('.ls-browser-foot');
const field = (name) => fields.find((each) => each.name === name);
let asked = null;
let turn = 0;
let waiting = 0;

const question = (more) => ({
  query: {
    ...Object.fromEntries(fields.map((each) => [each.name, each.value])),
    architecture: asked.architecture || null,
    page: asked.page,
  },
  taken: asked.taken,
  picked: asked.picked,
  ...more,
});
const cards = () => [...found.querySelectorAll('[data-pick]')];
const count = () => {
  const chosen = asked.picked.length;
  footer.querySelector('[data-chosen]').textContent = chosen === 1 ? '1 chosen' : `${chosen} chosen`;
  footer.querySelector('[data-use]').disabled = chosen === 0;
};
const show = (answer) => {
  const held = document.activeElement && found.contains(document.activeElement) ? document.activeElement : null;
  const again = held && (held.dataset.star ? `[data-star="${CSS.escape(held.dataset.star)}"]`
    : held.dataset.pick && `[data-pick="${CSS.escape(held.dataset.pick)}"]`);
  found.innerHTML = answer.found;
  if (held) ((again && found.querySelector(again)) || cards()[0] || found).focus();
  clearTimeout(waiting);
  if (answer.reading) waiting = setTimeout(() => look(), AGAIN);
};
// The last question wins, whichever answer comes last.
const look = async (more, lists) => {
  if (!dialog.open) return;
  const mine = ++turn;
  const answer = await (lists ? server.lists : server.look)(question(more));
  if (mine !== turn || !dialog.open) return;
  for (const name of lists ? ['folder', 'theme', 'tag'] : []) {
    field(name).innerHTML = answer[name] || '<option value=""></option>';
    field(name).closest('label').hidden = !answer[name];
  }
  show(answer);
};
const again = () => { asked.page = 0; look(); };
const clear = () => {
  for (const each of fields) if (each.name !== 'order') each.value = '';
  again();
  field('words').focus();
};
const answer = (slugs) => {
  dialog.close();
  asked.done(slugs);
};
const pick = (card) => {
  const slug = card.dataset.pick;
  if (card.getAttribute('aria-disabled') === 'true') return;
  if (!asked.many) { answer([slug]); return; }
  const on = !asked.picked.includes(slug);
  asked.picked = on ? [...asked.picked, slug] : asked.picked.filter((each) => each !== slug);
  card.setAttribute('aria-pressed', String(on));
  card.classList.toggle('ls-picked', on);
  count();
};

document.addEventListener('ls-browse', (event) => {
  asked = {page: 0, taken: [], picked: [], ...event.detail};
  dialog.querySelector('h2').textContent = asked.title;
  for (const each of fields) each.value = '';
  footer.hidden = !asked.many;
  found.innerHTML = '';
  count();
  dialog.showModal();
  field('words').focus();
  look({}, true);
});
let typing = 0;
field('words').addEventListener('input', () => { clearTimeout(typing); typing = setTimeout(again, 120); });
for (const each of fields) if (each.matches('select')) each.addEventListener('change', again);
dialog.addEventListener('close', () => clearTimeout(waiting));
dialog.addEventListener('click', async (event) => {
  const on = (selector) => event.target.closest(selector);
  if (event.target === dialog || on('[data-close]')) dialog.close();
  else if (on('[data-try]')) { dialog.close(); trigger('pick', {key: on('[data-try]').dataset.try}); }
  else if (on('[data-star]')) look({star: on('[data-star]').dataset.star});
  else if (on('[data-pick]')) pick(on('[data-pick]'));
  else if (on('[data-clear]')) clear();
  else if (on('[data-use]')) answer(asked.picked);
  else if (on('[data-page]')) {
    asked.page = Number(on('[data-page]').dataset.page);
    await look();
    found.scrollTo(0, 0);
    (cards()[0] || found).focus();
  }
});
const columns = (all) => all.filter((each) => each.getBoundingClientRect().top === all[0].getBoundingClientRect().top).length;
dialog.addEventListener('keydown', (event) => {
  const {key, target} = event;
  event.stopPropagation();
  if (target.matches('select')) return;
  const all = cards();
  const at = all.indexOf(target);
  if (target === field('words')) {
    if (key === 'Enter') { event.preventDefault(); enter(); }
    if (key === 'ArrowDown' && all.length) { event.preventDefault(); all[0].focus(); }
    return;
  }
  const step = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(all), ArrowDown: columns(all)}[key];
  if (key === '/') field('words').focus();
  else if (key === 'f' && at >= 0 && dialog.dataset.stars) look({star: all[at].dataset.pick});
  else if (step && at >= 0) (at + step < 0 ? field('words') : all[Math.min(all.length - 1, at + step)]).focus();
  else return;
  event.preventDefault();
});
// What was typed last is looked for first, so that Enter never takes a card of an earlier word.
const enter = async () => {
  clearTimeout(typing);
  asked.page = 0;
  await look();
  const first = cards().find((each) => each.getAttribute('aria-disabled') !== 'true');
  if (first && dialog.open) pick(first);
};
