// Long work shows a progress bar. The page's title says how far it is and, to whoever looks
// elsewhere, that it has ended; a sound says so too, if it was asked for in the sheet of keys.
{
  const name = document.title;
  const LONG = 10000;
  let began = 0;
  let over = 0;
  const sound = () => {
    const audio = new AudioContext();
    const tone = audio.createOscillator();
    const volume = audio.createGain();
    volume.gain.setValueAtTime(0.15, audio.currentTime);
    volume.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + 0.9);
    tone.frequency.value = 660;
    tone.connect(volume).connect(audio.destination);
    tone.start();
    tone.stop(audio.currentTime + 0.9);
    tone.addEventListener('ended', () => audio.close());
  };
  const ended = () => {
    const long = Date.now() - began > LONG;
    began = over = 0;
    document.title = document.hidden ? `Done · ${name}` : name;
    if (long && localStorage.getItem('lora-studio-sound') === 'on') sound();
  };
  const look = () => {
    const bar = document.querySelector('[role="progressbar"]');
    if (bar) {
      clearTimeout(over);
      over = 0;
      began = began || Date.now();
      const share = bar.getAttribute('aria-valuenow');
      document.title = `${share === null ? 'Running' : `${share} %`} · ${name}`;
    } else if (began && !over) over = setTimeout(ended, 1500);  // the next of a queue may begin
  };
  let soon = 0;
  new MutationObserver(() => {
    if (!soon) soon = setTimeout(() => { soon = 0; look(); }, 200);
  }).observe(document.body, {subtree: true, childList: true, attributeFilter: ['aria-valuenow']});
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && !began) document.title = name;
  });
}
