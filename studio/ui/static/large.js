// A picture in large on the page itself, arrow keys for its neighbours; and "Download all".
{
  const frame = () => {
    let dialog = document.getElementById('ls-large');
    if (dialog) return dialog;
    dialog = document.createElement('dialog');
    dialog.id = 'ls-large';
    dialog.className = 'ls-large';
    dialog.setAttribute('aria-label', 'The picture in large');
    dialog.innerHTML = `<img alt=""><p></p><div>
      <button type="button" class="ls-button" data-turn="-1">Previous</button>
      <button type="button" class="ls-button" data-turn="1">Next</button>
      <button type="button" class="ls-button" data-close>Close</button></div>`;
    dialog.turn = (by) => {
      const { list } = dialog;
      dialog.at = Math.min(list.length - 1, Math.max(0, dialog.at + by));
      const { large, caption } = list[dialog.at].dataset;
      const image = dialog.querySelector('img');
      image.src = large;
      image.alt = dialog.querySelector('p').textContent = caption;
      dialog.querySelector('[data-turn="-1"]').disabled = dialog.at === 0;
      dialog.querySelector('[data-turn="1"]').disabled = dialog.at === list.length - 1;
    };
    dialog.addEventListener('click', (event) => {
      const button = event.target.closest('button');
      if (button && button.dataset.turn) dialog.turn(Number(button.dataset.turn));
      else dialog.close();
    });
    dialog.addEventListener('keydown', (event) => {
      const by = {ArrowLeft: -1, ArrowRight: 1}[event.key];
      if (by) { dialog.turn(by); event.preventDefault(); }
      event.stopPropagation();
    });
    (element.closest('.contain') || document.body).append(dialog);
    return dialog;
  };
  element.addEventListener('click', (event) => {
    const all = event.target.closest('[data-download-all]');
    if (all) {
      [...element.querySelectorAll('[data-file]')].forEach((each, at) => setTimeout(() => {
        const link = document.createElement('a');
        link.href = each.dataset.large;
        link.download = each.dataset.file;
        link.click();
      }, 250 * at));
      return;
    }
    const link = event.target.closest('a[data-large]');
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const dialog = frame();
    const strip = [...document.querySelectorAll('#strip [data-large]')];
    const same = strip.findIndex((each) => each.dataset.large === link.dataset.large);
    dialog.list = same < 0 ? [link] : strip;
    dialog.at = Math.max(0, same);
    dialog.turn(0);
    dialog.showModal();
  });
  // On a narrow screen a run comes into sight when it begins and when its picture is there.
  let before = 'idle';
  watch('value', () => {
    const stage = element.querySelector('.ls-stage');
    const now = stage ? stage.dataset.state : before;
    const comes = now !== before && (now === 'busy' || now === 'done');
    before = now;
    if (comes && innerWidth <= 900) element.scrollIntoView({block: 'start'});
  });
}
