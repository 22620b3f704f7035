// Both pictures of a pair move and grow as one: wheel, drag, buttons and keys.
const view = {scale: 1, x: 0, y: 0};
let from = null;
const images = () => element.querySelectorAll('.ls-lens img');
const show = () => {
  view.scale = Math.min(16, Math.max(1, view.scale));
  const edge = (view.scale - 1) / 2 / view.scale * 100;
  view.x = Math.min(edge, Math.max(-edge, view.x));
  view.y = Math.min(edge, Math.max(-edge, view.y));
  images().forEach((image) => {
    image.style.transform = `scale(${view.scale}) translate(${view.x}%, ${view.y}%)`;
  });
  const said = element.querySelector('.ls-zoomed');
  if (said) said.textContent = `${Math.round(view.scale * 100)} %`;
};
const zoom = (factor) => { view.scale *= factor; show(); };
element.addEventListener('wheel', (event) => {
  if (!event.target.closest('.ls-lens') || !(event.ctrlKey || view.scale > 1)) return;
  event.preventDefault();
  zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15);
}, {passive: false});
element.addEventListener('pointerdown', (event) => {
  const lens = event.target.closest('.ls-lens');
  if (!lens || view.scale === 1) return;
  from = {x: event.clientX, y: event.clientY, size: lens.clientWidth};
  lens.setPointerCapture(event.pointerId);
  event.preventDefault();
});
element.addEventListener('pointermove', (event) => {
  if (!from) return;
  view.x += (event.clientX - from.x) / from.size / view.scale * 100;
  view.y += (event.clientY - from.y) / from.size / view.scale * 100;
  from.x = event.clientX; from.y = event.clientY;
  show();
});
element.addEventListener('pointerup', () => { from = null; });
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-zoom]');
  if (!button) return;
  if (button.dataset.zoom === 'out') zoom(1 / 1.5);
  else if (button.dataset.zoom === 'in') zoom(1.5);
  else { view.scale = 1; view.x = view.y = 0; show(); }
});
element.addEventListener('keydown', (event) => {
  if (!event.target.closest('.ls-lens')) return;
  const step = 8 / view.scale;
  const moves = {
    ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step],
  };
  if (event.key === '+' || event.key === '=') zoom(1.25);
  else if (event.key === '-') zoom(1 / 1.25);
  else if (event.key in moves) {
    view.x += moves[event.key][0];
    view.y += moves[event.key][1];
    show();
  } else return;
  event.preventDefault();
});
watch('value', show);
