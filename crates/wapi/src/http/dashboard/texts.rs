//! The texts of the pages, each in every language, in one table. Pure.

/// A text in every language of the dashboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageText {
    pub english: &'static str,
    pub russian: &'static str,
}

/// Declares a table of texts, and the test that none of them is missing in any language.
macro_rules! page_texts {
    ($($name:ident: $english:literal, $russian:literal;)+) => {
        $(pub const $name: $crate::http::dashboard::texts::PageText =
            $crate::http::dashboard::texts::PageText { english: $english, russian: $russian };)+

        #[cfg(test)]
        #[test]
        fn no_text_is_missing_in_any_language() {
            $crate::http::dashboard::texts::check_texts(&[$((stringify!($name), $name)),+]);
        }
    };
}

pub(in crate::http) use page_texts;

mod operator;
mod problems;

pub use operator::*;
pub use problems::problem_text;

page_texts! {
    // The frame.
    SKIP: "Skip to content", "К содержимому";
    OVERVIEW: "Overview", "Обзор";
    SESSIONS: "Sessions", "Сессии";
    EVENTS: "Events", "События";
    WEBHOOKS: "Webhooks", "Вебхуки";
    KEYS: "Keys", "Ключи";
    TRY_IT: "Try it", "Попробовать";
    SANDBOX: "Sandbox", "Песочница";
    LANGUAGE: "Language", "Язык";
    THEME: "Theme", "Тема";
    THEME_AUTO: "As the system", "Как в системе";
    THEME_LIGHT: "Light", "Светлая";
    THEME_DARK: "Dark", "Тёмная";
    APPLY: "Apply", "Применить";
    DOCS: "API reference", "Справочник API";
    LOG_OUT_OF_HERE: "Log out", "Выйти";
    OPEN_MODE: "No key is set: everybody on this machine may enter.",
        "Ключ не задан: войти может каждый на этой машине.";
    SERVER_AWAY: "The gateway does not answer; this page continues as soon as it does.",
        "Шлюз не отвечает; страница продолжит работу, как только он ответит.";
    PARTS_SKIPPED: "Something is left out here. Load the page again to see it.",
        "Здесь кое-что пропущено. Перезагрузите страницу, чтобы увидеть.";
    HOME: "To the overview", "К обзору";
    FAILED: "That did not work", "Не получилось";
    COPY: "Copy", "Копировать";
    CONFIRM: "Yes, do it", "Да, выполнить";
    CANCEL: "Cancel", "Отмена";
    TYPE_AGAIN: "Secrets are not shown again: type them once more.",
        "Секреты повторно не показываются: введите их ещё раз.";
    NONE: "none", "нет";
    UNTIL_NOW: "never", "никогда";
    // The login.
    LOG_IN: "Log in", "Войти";
    API_KEY: "API key", "Ключ API";
    KEY_HINT: "The key of WAPI_API_KEY, or one made with POST /v1/api-keys. The browser keeps a cookie instead of it.",
        "Ключ из WAPI_API_KEY или созданный через POST /v1/api-keys. В браузере вместо него остаётся только cookie.";
    WRONG_KEY: "This key is not valid.", "Этот ключ не подходит.";
    NEEDS_TLS: "Logging in needs HTTPS: over plain HTTP everybody on the way can read the key. Put TLS in front of the gateway, open this page on its own machine, or set WAPI_DASHBOARD_INSECURE=true.",
        "Для входа нужен HTTPS: по обычному HTTP ключ прочтёт каждый по пути. Поставьте TLS перед шлюзом, откройте страницу на его машине или задайте WAPI_DASHBOARD_INSECURE=true.";
    // The overview.
    NEEDS_A_HAND: "Needs a hand", "Нужна помощь";
    ALL_WELL: "Nothing waits for anybody.", "Ничто не ждёт вмешательства.";
    BY_STATUS: "Sessions by status", "Сессии по состояниям";
    NO_SESSIONS: "There are no sessions yet.", "Сессий пока нет.";
    GATEWAY: "Gateway", "Шлюз";
    VERSION: "Version", "Версия";
    DELIVERIES_WAITING: "Deliveries waiting", "Доставок в очереди";
    OLDEST_DELIVERY: "Oldest of them, seconds", "Самая старая, секунд";
    RECEIVED_SINCE_START: "Messages received since the start", "Сообщений получено с запуска";
    SENT_SINCE_START: "Messages sent since the start", "Сообщений отправлено с запуска";
    DATABASE_MIB: "Database, MiB", "База данных, МиБ";
    MESSAGES_WAITING: "Messages to be sent", "Сообщений к отправке";
    // Sessions.
    NAME: "Name", "Имя";
    STATUS: "Status", "Состояние";
    ACCOUNT: "Account", "Аккаунт";
    LAST_RECEIVED: "Last message received", "Последнее полученное сообщение";
    NEW_SESSION: "New session", "Новая сессия";
    CREATE: "Create", "Создать";
    SINCE: "since", "с";
    PAIRED: "Linked", "Привязана";
    YES: "yes", "да";
    NO: "no", "нет";
    CONNECTION: "Connection", "Соединение";
    PROXY: "Proxy", "Прокси";
    APP_STATE: "Names and chat settings", "Имена и настройки чатов";
    HISTORY: "History", "История";
    DISABLED_WEBHOOKS: "Disabled webhooks", "Отключённые вебхуки";
    SCAN: "Scan this code with the phone: WhatsApp, Linked devices, Link a device.",
        "Отсканируйте код телефоном: WhatsApp, Связанные устройства, Привязка устройства.";
    SECONDS_LEFT: "Seconds left for this code:", "Секунд осталось у кода:";
    QR_ALT: "QR code that links a phone", "QR-код для привязки телефона";
    QR_EXPIRED: "The code was not scanned in time. Start the session again for a new one.",
        "Код не успели отсканировать. Запустите сессию ещё раз, чтобы получить новый.";
    QR_ADMINS_ONLY: "A QR code waits; it is shown to admin keys only.",
        "Ждёт QR-код; он показывается только ключам admin.";
    PAIRING_CODE: "Pairing code", "Код привязки";
    PAIRING_CODE_HINT: "Instead of scanning: type this code into the phone (Linked devices, Link with phone number).",
        "Вместо сканирования: введите этот код в телефоне (Связанные устройства, Привязать по номеру).";
    PHONE: "Phone number", "Номер телефона";
    GET_CODE: "Get a code", "Получить код";
    CONNECT_LINK: "Link for the phone's owner", "Ссылка для владельца телефона";
    CONNECT_LINK_HINT: "Whoever opens this page of the gateway links their phone to the session: by QR code, by code, or with a passkey. It is shown only now, and works once, until:",
        "Открывший эту страницу шлюза привяжет к сессии свой телефон: QR-кодом, кодом или ключом доступа. Ссылка показана только сейчас и действует один раз, до:";
    PASSKEY_STEP: "Passkey", "Ключ доступа";
    PASSKEY: "WhatsApp asks for a passkey of the account. Take the step here, or make a link for the phone's owner below. A passkey can only be used in a page of WhatsApp Web; the browser extension of wapi does that.",
        "WhatsApp просит ключ доступа аккаунта. Сделайте этот шаг здесь или создайте ниже ссылку для владельца телефона. Ключ доступа можно использовать только на странице WhatsApp Web; это делает расширение wapi для браузера.";
    PASSKEY_ADMINS_ONLY: "WhatsApp asks for a passkey of the account; an admin key takes this step.",
        "WhatsApp просит ключ доступа аккаунта; этот шаг делает ключ admin.";
    PASSKEY_REQUEST: "Paste this request into the extension, in a tab of https://web.whatsapp.com:",
        "Вставьте этот запрос в расширение на вкладке https://web.whatsapp.com:";
    PASSKEY_ANSWER: "Paste its answer here", "Вставьте сюда его ответ";
    PASSKEY_CHECKED: "WhatsApp checks the passkey…", "WhatsApp проверяет ключ доступа…";
    PASSKEY_COMPARE: "Compare this code with the one on the phone:", "Сравните этот код с кодом на телефоне:";
    PASSKEY_SAME: "The codes are the same", "Коды совпадают";
    PASSKEY_LINKING: "The phone links the session…", "Телефон привязывает сессию…";
    SECONDS_LEFT_OF_STEP: "Seconds left:", "Осталось секунд:";
    ACTIONS: "Actions", "Действия";
    START: "Start", "Запустить";
    STOP: "Stop", "Остановить";
    RESTART: "Restart", "Перезапустить";
    LOG_OUT_SESSION: "Unlink from WhatsApp", "Отвязать от WhatsApp";
    REMOVE: "Remove", "Удалить";
    TYPE_NAME: "Type the session's name to confirm", "Введите имя сессии для подтверждения";
    TIMELINE: "Timeline", "Хронология";
    NO_TIMELINE: "Nothing has happened lately.", "В последнее время ничего не происходило.";
    BACK_TO_SESSION: "To the session", "К сессии";
    // Lists and forms.
    CONTACTS: "Contacts", "Контакты";
    GROUPS: "Groups", "Группы";
    MEDIA: "Files", "Файлы";
    SEND: "Send", "Отправить";
    TEXT: "Text", "Текст";
    CHATS: "Chats", "Чаты";
    OLDER: "Older", "Раньше";
    // Events.
    SESSION: "Session", "Сессия";
    TYPES: "Types, separated by commas", "Типы через запятую";
    FROM_SEQ: "From sequence", "С номера";
    FILTER: "Filter", "Показать";
    PAUSE: "Pause", "Пауза";
    GO_ON: "Go on", "Продолжить";
    NO_EVENTS: "No events match.", "Подходящих событий нет.";
    NONE_IN_THIS_PART: "No events match in this part of the log. Others may.",
        "В этой части журнала подходящих событий нет. В других могут быть.";
    EVENTS_SKIPPED: "There were too many events to follow. Left out here:",
        "Событий было слишком много, чтобы показать все. Здесь пропущены:";
    SHOW_SKIPPED: "Show them", "Показать их";
    MORE: "More:", "Ещё:";
    LATER: "Later", "Дальше";
    COPY_CURL: "Copy as curl", "Скопировать как curl";
    CURL_EVENTS: "These events as curl", "Эти события через curl";
    // Webhooks.
    ADDRESS: "Address", "Адрес";
    ENABLED: "Enabled", "Включён";
    FAILURES: "Failed attempts", "Неудачных попыток";
    ALL: "all", "все";
    DELIVERIES: "Deliveries", "Доставки";
    EVENT: "Event", "Событие";
    ATTEMPTS: "Attempts", "Попытки";
    CREATED: "Created", "Создано";
    NEXT_ATTEMPT: "Next attempt", "Следующая попытка";
    RESEND: "Resend", "Отправить снова";
    RESEND_FAILED: "Resend all that were given up", "Отправить снова всё неудавшееся";
    REPLAY: "Replay events", "Повторить события";
    REPLAY_FROM: "From (UTC)", "С (UTC)";
    REPLAY_TO: "To (UTC)", "До (UTC)";
    REPLAYED: "Events that are delivered again:", "Событий доставляется снова:";
    ENABLE: "Enable", "Включить";
    TEST: "Send a test", "Проверить";
    NONE_SO_FAR: "None among those looked through so far. Older ones may match.",
        "Среди просмотренных таких нет. Более ранние могут подойти.";
    NO_DELIVERIES: "There are no deliveries.", "Доставок нет.";
    ANSWER: "Answer", "Ответ";
    // Keys.
    SCOPES: "Scopes", "Права";
    EXPIRES: "Expires", "Истекает";
    LAST_USED: "Last used", "Использован";
    NEW_KEY: "New key", "Новый ключ";
    KEY_ONCE: "This is the key. It is shown only now; the gateway keeps a hash of it.",
        "Это ключ. Он показан только сейчас; шлюз хранит лишь его хеш.";
    REMOVE_KEY_QUESTION: "Remove this key? Programs that have it are refused at once.",
        "Удалить этот ключ? Программы с ним сразу получат отказ.";
    ONLY_SESSIONS: "Sessions, one a line; empty: all", "Сессии, по одной в строке; пусто: все";
}

/// Panics if a text is missing in a language, or in that of another one.
#[cfg(test)]
pub fn check_texts(table: &[(&str, PageText)]) {
    let is_cyrillic = |sign: char| ('\u{400}'..='\u{4ff}').contains(&sign);
    for (name, PageText { english, russian }) in table {
        assert!(!english.trim().is_empty(), "{name} has no English text");
        assert!(
            russian.contains(is_cyrillic),
            "{name} is not in Russian: {russian}"
        );
        assert!(
            !english.contains(is_cyrillic),
            "{name} is not in English: {english}"
        );
    }
}
