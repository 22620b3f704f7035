// Sends a chosen LoRA to data-to, says how far it is, and is then the component's `taken` event.
// MOST are the bytes of the largest.
element.addEventListener('change', (event) => {
  const input = event.target;
  const file = input.files && input.files[0];
  if (!file) return;
  const say = (text) => { element.querySelector('output').textContent = text; };
  const mb = (bytes) => (bytes / 1e6).toPrecision(3);
  input.value = '';
  if (file.size > MOST) {
    say(`${file.name} has ${mb(file.size)} MB, and may have ${mb(MOST)} (VISITOR_LORA_MB).`);
    return;
  }
  const sent = new XMLHttpRequest();
  sent.upload.addEventListener('progress', ({loaded, total}) => {
    say(loaded < total ? `${Math.floor(100 * loaded / total)} % sent` : 'It is being read');
  });
  sent.addEventListener('load', () => {
    if (sent.status === 200) trigger('taken', {key: sent.responseText});
    else say(sent.responseText);
  });
  sent.addEventListener('error', () => say('The connection broke. Send it again.'));
  sent.open('POST', `${input.dataset.to}&name=${encodeURIComponent(file.name)}`);
  sent.send(file);
});
