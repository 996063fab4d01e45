//! Texts of the pages for operators: webhooks, activity, health, the overview's numbers. Pure.

page_texts! {
    // The login.
    KEY_AGAIN: "API key of this login, once more", "Ключ API этого входа, ещё раз";
    KEY_AGAIN_FOR_ADDRESS: "API key of this login, once more, for another address",
        "Ключ API этого входа, ещё раз, если адрес меняется";
    KEY_WRONG_OR_MISSING: "Type the key of this login.", "Введите ключ этого входа.";
    LOGIN_LINK: "Or the link from the terminal", "Или ссылка из терминала";
    LINK_HINT: "A gateway with WAPI_API_KEY prints it at its start until somebody has logged in. It opens the dashboard once, with the rights of that key.",
        "Шлюз с WAPI_API_KEY печатает её при запуске, пока никто не вошёл. Она открывает панель один раз, с правами этого ключа.";
    WRONG_LINK: "This link is not valid, or no longer. The next start prints another one.",
        "Эта ссылка не подходит или уже не действует. При следующем запуске появится новая.";
    // The overview.
    LIMITED: "limited by WhatsApp", "ограничена WhatsApp";
    WEBHOOK_DISABLED: "disabled", "отключён";
    LAST_DAY: "The last day, in quarters of an hour", "Последние сутки по четвертям часа";
    MEASURED_SINCE: "Counted in memory since the start of the program:", "Подсчитано в памяти с запуска программы:";
    MEASURED_AT: "Measured", "Измерено";
    RECEIVED: "Messages received", "Сообщений получено";
    SENT: "Messages sent", "Сообщений отправлено";
    DELIVERED: "Deliveries taken", "Доставок принято";
    FAILED_DELIVERIES: "Failed attempts to deliver", "Неудачных попыток доставки";
    MOST: "most in one bar", "максимум в столбце";
    QUEUES: "Waiting deliveries by webhook", "Доставки в очереди по вебхукам";
    LAG: "From saving to delivery, seconds at most", "От сохранения до доставки, секунд не более";
    HALF: "half of them", "половина";
    NEARLY_ALL: "19 of 20", "19 из 20";
    NO_LAG: "Nothing has been delivered since the start.", "С запуска ничего не доставлено.";
    DISK_FREE: "Disk free, MiB", "Свободно на диске, МиБ";
    DISK_TOTAL: "of, MiB", "из, МиБ";
    // Sessions.
    LIMITS: "Limits of WhatsApp", "Ограничения WhatsApp";
    TIMELOCK: "Messages to people who have not written", "Сообщения тем, кто не писал";
    TIMELOCKED: "refused until", "отклоняются до";
    ALLOWED: "allowed", "разрешены";
    NEW_CHATS: "New chats used", "Новых чатов использовано";
    OUT_OF: "of", "из";
    UNKNOWN: "not known", "неизвестно";
    ASK_LIMITS: "Ask WhatsApp now", "Спросить WhatsApp сейчас";
    QUEUE: "Queue", "Очередь";
    HELD: "Held", "Задержано";
    COUNTS: "Events", "События";
    COUNTED_SINCE: "Its last events, up to 10,000, counted since", "Последние события, не более 10 000, с";
    COUNTED_NOTHING: "There are no events.", "Событий нет.";
    CHECK: "Check both directions", "Проверить оба направления";
    CHECK_HINT: "A round trip to WhatsApp, a write to the disk, and proof that messages come in.",
        "Запрос к WhatsApp, запись на диск и подтверждение, что сообщения приходят.";
    PASSED: "works", "работает";
    NOT_PASSED: "does not work", "не работает";
    SOCKET: "Way to WhatsApp and back", "Путь до WhatsApp и обратно";
    STORE: "Saving", "Сохранение";
    INBOUND: "Incoming messages", "Входящие сообщения";
    PROOF: "proof", "подтверждение";
    PACING: "Pacing", "Темп отправки";
    MIN_GAP: "Seconds between messages", "Секунд между сообщениями";
    JITTER: "Random seconds more", "Случайных секунд сверху";
    TYPING: "Show typing before texts", "Показывать набор перед текстом";
    PER_DAY: "Messages a day; empty: any number", "Сообщений в день; пусто: без предела";
    NEW_CHATS_PER_DAY: "New contacts a day; empty: any number", "Новых контактов в день; пусто: без предела";
    SAVE: "Save", "Сохранить";
    // Webhooks.
    WEBHOOK: "Webhook", "Вебхук";
    NEW_WEBHOOK: "New webhook", "Новый вебхук";
    CHANGE: "Change", "Изменить";
    ALL_SESSIONS_IF_EMPTY: "Session; empty: all", "Сессия; пусто: все";
    EVENT_TYPES: "Events; none chosen: all", "События; ничего не выбрано: все";
    HEADERS: "Headers of every post, one a line, as Name: value", "Заголовки каждого запроса, по одному в строке: Имя: значение";
    REMOVE_HEADERS: "Headers to remove", "Удалить заголовки";
    DISABLE: "Disable", "Отключить";
    NEW_SECRET: "New secret", "Новый секрет";
    SECRET_ONCE: "This secret signs the posts. It is shown only now.", "Этим секретом подписываются запросы. Он показан только сейчас.";
    FORMER_UNTIL: "The former secret signs as well until", "Прежний секрет подписывает ещё до";
    TYPE_ID: "Type the webhook's id to confirm", "Введите id вебхука для подтверждения";
    OF_THE_SETTINGS: "This webhook belongs to the settings; its address is WAPI_GETTING_MESSAGES_WEBHOOK.",
        "Этот вебхук задан в настройках; его адрес в WAPI_GETTING_MESSAGES_WEBHOOK.";
    SEND_EVENT: "Send one event", "Отправить одно событие";
    EVENT_ID: "Id of the event", "Id события";
    SEND_TO_WEBHOOK: "Send to a webhook", "Отправить вебхуку";
    CHOOSE_WEBHOOK: "Choose the webhook that gets this event:", "Выберите вебхук, который получит это событие:";
    TAKEN: "Taken", "Принято";
    MILLISECONDS: "Milliseconds", "Миллисекунд";
    ERROR: "Error", "Ошибка";
    RESENT: "Deliveries that are attempted again:", "Доставок отправляется снова:";
    REPLAY_FROM_SEQ: "or from the event with the number", "или с события под номером";
    REPLAYS: "Events that the webhook gets again:", "Событий, которые вебхук получит снова:";
    // Activity.
    ACTIVITY: "Activity", "Журнал";
    ACTIVITY_HINT: "Changes and logins one by one; what reads or sends is counted by the hour.",
        "Изменения и входы по одному; чтение и отправка подсчитаны по часам.";
    EXPORT: "Export as NDJSON", "Выгрузить в NDJSON";
    KIND: "Kind", "Вид";
    KIND_CHANGE: "changes", "изменения";
    KIND_SEND: "sends", "отправка";
    KIND_READ: "reads", "чтение";
    KIND_LOGIN: "logins", "входы";
    KEY_ID: "Id of the key", "Id ключа";
    TIME: "Time", "Время";
    CALLER: "Caller", "Кто";
    REQUEST: "Request", "Запрос";
    REQUESTS: "Requests", "Запросов";
    FAILED_REQUESTS: "failed", "неудачных";
    OUTCOME: "Outcome", "Итог";
    FROM_ADDRESS: "Address", "Адрес";
    KEY_OF_SETTINGS: "key of the settings", "ключ из настроек";
    WITHOUT_KEY: "no key required", "ключ не требуется";
    WITH_LINK: "connect link", "ссылка для владельца телефона";
    WRONG_KEY_SHOWN: "wrong key", "неверный ключ";
    LOGIN: "login", "вход";
    NO_ACTIVITY: "There is no activity.", "Действий нет.";
    // Health and settings.
    HEALTH: "Health and settings", "Состояние и настройки";
    READY: "Ready", "Готов";
    NOT_READY: "Not ready", "Не готов";
    READY_HINT: "Requests are taken, and everything can be saved.", "Запросы принимаются, и всё сохраняется.";
    SETTINGS: "Settings", "Настройки";
    VALUE: "Value", "Значение";
    SOURCE: "Source", "Источник";
    NOT_SET: "not set", "не задано";
    LICENCES: "Licences", "Лицензии";
}
