// Corrections to what GraphiQL's markup tells assistive technology.

// GraphiQL's tabs are list items with two buttons each, but have the role of tabs, which must not
// contain buttons. describeTabs gives them the roles of what they are: a list of buttons, one of
// which is current. It also scrolls the current one into view, and the one with the focus, of which
// browsers may leave a part outside.
export function describeTabs() {
  const list = document.querySelector('.graphiql-tabs');
  if (!list) return undefined;
  const describe = () => {
    list.removeAttribute('role');
    for (const item of list.children) {
      item.removeAttribute('role');
      item.removeAttribute('aria-selected');
      item.querySelector('.graphiql-tab-button')?.setAttribute('aria-current', item.classList.contains('graphiql-tab-active'));
    }
  };
  let shown;
  const showActive = () => {
    const active = list.querySelector('.graphiql-tab-active');
    if (active !== shown) active?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    shown = active;
  };
  const showFocused = event => event.target.closest('.graphiql-tab')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  const update = () => { describe(); showActive(); };
  update();
  list.addEventListener('focusin', showFocused);
  const observer = new MutationObserver(update);
  observer.observe(list, { childList: true, subtree: true, attributeFilter: ['role', 'class', 'aria-selected'] });
  return () => { observer.disconnect(); list.removeEventListener('focusin', showFocused); };
}

// GraphiQL gives all entries of its history the name "Set active". Without it an entry's name is its
// text.
export function describeHistory() {
  const panel = document.querySelector('.graphiql-plugin');
  if (!panel) return undefined;
  const describe = () => {
    for (const entry of panel.querySelectorAll('.graphiql-history-item-label')) entry.removeAttribute('aria-label');
  };
  describe();
  const observer = new MutationObserver(describe);
  observer.observe(panel, { childList: true, subtree: true });
  return () => observer.disconnect();
}
