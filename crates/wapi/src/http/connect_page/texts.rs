//! The texts of the page of a connect link. Pure.

use crate::http::dashboard::texts::page_texts;

page_texts! {
    TITLE: "Link a phone", "Привязать телефон";
    INVALID: "This link is not valid, or no longer.", "Эта ссылка не подходит или уже не действует.";
    UNAVAILABLE: "Linking is not possible at the moment. Ask the sender of this link.",
        "Сейчас привязать телефон нельзя. Спросите отправителя этой ссылки.";
    WAITING: "One moment…", "Минуту…";
    OPEN_WHATSAPP: "Open WhatsApp on the phone.", "Откройте WhatsApp на телефоне.";
    OPEN_DEVICES: "Open Linked devices, and tap Link a device.",
        "Откройте «Связанные устройства» и нажмите «Привязка устройства».";
    SCAN_CODE: "Scan this code.", "Отсканируйте этот код.";
    CODE: "Code", "Код";
    OUT_OF: "of", "из";
    REPLACED: "it is replaced by itself.", "он сменится сам.";
    QR_ALT: "QR code that links a phone", "QR-код для привязки телефона";
    SECONDS_LEFT: "Seconds left:", "Осталось секунд:";
    BY_NUMBER: "Link with the phone number instead", "Привязать по номеру телефона";
    BY_QR: "Scan a code instead", "Отсканировать код";
    EXPIRED: "The codes have expired.", "Срок кодов истёк.";
    NEW_CODE: "Show a new code", "Показать новый код";
    NUMBER: "International number of the phone", "Номер телефона с кодом страны";
    SHOW_CODE: "Show a code", "Показать код";
    TYPE_CODE: "Type this code into WhatsApp on the phone, under Linked devices, Link with phone number instead:",
        "Введите этот код в WhatsApp на телефоне: «Связанные устройства», «Связать по номеру телефона»:";
    TYPED: "It is typed", "Код введён";
    OUTSTANDING: "The code was given out and can still be typed into the phone…",
        "Код выдан, и его ещё можно ввести в телефоне…";
    ANOTHER_CODE: "Show another code", "Показать другой код";
    PASSKEY: "WhatsApp asks for a passkey of the account. It can only be used in a page of WhatsApp Web; the browser extension of wapi does that.",
        "WhatsApp просит ключ доступа аккаунта. Его можно использовать только на странице WhatsApp Web; это делает расширение wapi для браузера.";
    COPY_REQUEST: "Copy this request.", "Скопируйте этот запрос.";
    PASTE_INTO_EXTENSION: "Paste it into the extension in a tab of https://web.whatsapp.com, and use the passkey.",
        "Вставьте его в расширение на вкладке https://web.whatsapp.com и используйте ключ доступа.";
    PASTE_ANSWER: "Paste the answer here.", "Вставьте сюда ответ.";
    SEND: "Send", "Отправить";
    CHECKING: "WhatsApp checks the passkey…", "WhatsApp проверяет ключ доступа…";
    COMPARE: "Compare this code with the one on the phone:", "Сравните этот код с кодом на телефоне:";
    SAME: "The codes are the same", "Коды совпадают";
    LINKING: "The phone links the session…", "Телефон привязывает сессию…";
    LINKED: "The phone is linked.", "Телефон привязан.";
    CLOSE: "You can close this page.", "Эту страницу можно закрыть.";
    VALID_UNTIL: "This link works once, until", "Ссылка действует один раз, до";
    // Faults of forms.
    WRONG_NUMBER: "This must be an international phone number: the code of the country first.",
        "Нужен международный номер телефона: сначала код страны.";
    WRONG_ANSWER: "This is not the text that was copied from the extension.",
        "Это не тот текст, который скопирован из расширения.";
    LINKED_ALREADY: "The phone is linked already.", "Телефон уже привязан.";
    OTHER_STEP: "Another step is due.", "Сейчас другой шаг.";
    PASSKEY_REFUSED: "WhatsApp did not accept the passkey. Begin again.",
        "WhatsApp не принял ключ доступа. Начните сначала.";
    NO_CODE: "WhatsApp gives no code for this number. Check it, or try again in a few minutes.",
        "WhatsApp не даёт кода для этого номера. Проверьте его или попробуйте через несколько минут.";
    FAILED: "That did not work. Try again in a moment.", "Не получилось. Попробуйте ещё раз чуть позже.";
}
