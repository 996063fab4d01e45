// A click on the extension's icon shows the panel in a tab of WhatsApp Web, or opens such a tab.
const HOME = "https://web.whatsapp.com/";

chrome.action.onClicked.addListener(async (tab) => {
  // Addresses of tabs outside of the host permission are not shown to the extension.
  if (tab.url?.startsWith(HOME)) {
    await chrome.tabs.sendMessage(tab.id, { show: true });
  } else {
    await chrome.tabs.create({ url: HOME });
  }
});
