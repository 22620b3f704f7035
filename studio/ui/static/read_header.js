// Reads the header of a chosen file, so that nothing else of it has to be uploaded.
// MAX_HEADER and HASHED are bytes.
const input = element.querySelector('input[type=file]');
const hex = (buffer) =>
  Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, '0')).join('');
const base64 = (blob) => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(',') + 1));
  reader.onerror = () => reject(reader.error);
  reader.readAsDataURL(blob);
});
const read = async (file) => {
  const start = new DataView(await file.slice(0, 8).arrayBuffer());
  const length = start.byteLength === 8 ? Number(start.getBigUint64(0, true)) : 0;
  const end = length <= MAX_HEADER ? 8 + length : 64;
  const found = {name: file.name, size: file.size, head: await base64(file.slice(0, end))};
  if (crypto.subtle && end > 64 && file.size <= HASHED) {
    const all = await file.arrayBuffer();
    found.sha256 = hex(await crypto.subtle.digest('SHA-256', all));
    found.data_sha256 = hex(await crypto.subtle.digest('SHA-256', new Uint8Array(all, end)));
  }
  return found;
};
input.addEventListener('change', async () => {
  const file = input.files[0];
  if (!file) return;
  let found;
  try {
    found = await read(file);
  } catch (error) {
    found = {name: file.name, size: 0, head: '', problem: String(error)};
  }
  trigger('header', found);
  input.value = '';
});
