// The page's address names what is shown, `?tab=gallery&picture=NAME`, so that Back, a reload, a
// bookmark and a link lead there. What is shown says its part itself, by `data-address` in its
// markup; what an address names is opened by the server, which is told by the tab's own event.
{
  const TABS = ['studio', 'compare', 'trials', 'gallery', 'models'];
  const own = (params) => [...params].filter(([key, value]) => value && !key.startsWith('__'));
  const same = (one, other) => {
    const flat = (params) => JSON.stringify(own(params).map(String).sort());
    return flat(one) === flat(other);
  };
  const tabOf = (params) => (TABS.includes(params.get('tab')) ? params.get('tab') : TABS[0]);
  const here = () => {
    const params = new URLSearchParams(location.search);
    if (tabOf(params) === TABS[0]) params.delete('tab');
    return params;
  };
  const shown = () => {
    const params = new URLSearchParams();
    const tab = document.querySelector('.ls-tabs [role="tab"][aria-selected="true"]');
    const name = tab ? tab.textContent.trim().toLowerCase() : TABS[0];
    if (name !== TABS[0]) params.set('tab', name);
    for (const each of document.querySelectorAll('[data-address]')) {
      if (!each.getClientRects().length) continue;
      for (const [key, value] of new URLSearchParams(each.dataset.address)) params.set(key, value);
    }
    return params;
  };
  // What is being opened: until it is shown, or somebody goes on, nothing else is an address.
  let wanted = null;
  const look = () => {
    const now = shown();
    if (wanted) {
      if (!same(now, wanted)) return;
      wanted = null;
    }
    const before = here();
    if (same(now, before)) return;
    const text = new URLSearchParams(own(now)).toString();
    for (const [key, value] of before) if (key.startsWith('__')) now.set(key, value);
    const kept = now.toString();
    const address = location.pathname + (kept ? `?${kept}` : '') + location.hash;
    // Words that are typed are one step, not one for each letter.
    const typed = text !== '' && now.get('words') !== before.get('words');
    if (typed && tabOf(now) === tabOf(before)) history.replaceState(null, '', address);
    else history.pushState(null, '', address);
  };
  const visit = () => {
    wanted = here();
    trigger(tabOf(wanted), Object.fromEntries(own(wanted)));
  };
  let soon = 0;
  new MutationObserver(() => {
    if (!soon) soon = setTimeout(() => { soon = 0; look(); }, 120);
  }).observe(document.body, {
    subtree: true, childList: true, attributes: true,
    attributeFilter: ['data-address', 'aria-selected', 'class', 'style', 'hidden'],
  });
  // Whoever touches the page goes on from what is there.
  for (const kind of ['pointerdown', 'keydown']) {
    document.addEventListener(kind, () => { wanted = null; }, true);
  }
  window.addEventListener('popstate', visit);
  if (own(here()).length) setTimeout(visit, 0);
}
