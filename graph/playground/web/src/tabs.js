// GraphiQL's tabs are list items with two buttons in each, and yet call themselves tabs, which may hold nothing to press.
// Assistive technology is told what they are: a list of buttons, one of which is current.
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
  describe();
  const observer = new MutationObserver(describe);
  observer.observe(list, { childList: true, subtree: true, attributeFilter: ['role', 'class', 'aria-selected'] });
  return () => observer.disconnect();
}
