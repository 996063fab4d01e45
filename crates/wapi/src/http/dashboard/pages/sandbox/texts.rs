//! The texts of the sandbox. Pure.

pub use crate::http::dashboard::texts::*;

page_texts! {
    SANDBOX_HINT: "The gateway talks to a simulated WhatsApp. Its phones do here what people do with theirs.",
        "Шлюз работает с имитацией WhatsApp. Её телефоны делают здесь то, что люди делают со своими.";
    SIMULATED_PHONES: "Simulated phones", "Имитируемые телефоны";
    NUMBER: "Number", "Номер";
    DEVICES: "Linked devices", "Связанные устройства";
    CONNECTED: "connected", "подключено";
    NOT_CONNECTED: "not connected", "не подключено";
    UNCONFIRMED: "Unconfirmed", "Не подтверждено";
    NEW_PHONE: "New phone", "Новый телефон";
    NUMBER_OR_ANY: "Number (digits; empty: any)", "Номер (цифры; пусто: любой)";
    ADD: "Add", "Добавить";
    BREAK_WHATSAPP: "Break WhatsApp", "Сломать WhatsApp";
    REFUSE_CONNECTIONS: "Refuse new connections", "Отвергать новые соединения";
    TAKE_CONNECTIONS: "Take connections again", "Снова принимать соединения";
    SCAN_HINT: "Link a session to this phone: its QR code is scanned at once.",
        "Привязать сессию к этому телефону: её QR-код будет сразу отсканирован.";
    SCAN_CODE: "Scan", "Отсканировать";
    NOTHING_TO_SCAN: "No session shows a QR code. Create one, or start it.",
        "Ни одна сессия не показывает QR-код. Создайте или запустите её.";
    WRITE_AS: "Write as this phone", "Написать с этого телефона";
    TO_WHOM: "To (number or chat)", "Кому (номер или чат)";
    RECEIVED: "Received", "Получено";
    NOTHING_RECEIVED: "This phone has received nothing yet.", "Этот телефон ещё ничего не получил.";
    READ_IT: "Read it", "Прочитать";
    OWN_COPY: "sent by a linked device", "отправлено связанным устройством";
    RECEIPTS_ON: "Confirm deliveries by itself", "Подтверждать доставку автоматически";
    RECEIPTS_OFF: "Confirm no deliveries", "Не подтверждать доставку";
    NO_DEVICES: "No device is linked.", "Устройства не привязаны.";
    CUT: "Cut the connection", "Оборвать соединение";
    FREEZE: "Freeze", "Заморозить";
    THAW: "Thaw", "Разморозить";
    DEAFEN: "Tell it nothing", "Ничего ему не сообщать";
    STREAM_ERROR: "End with an error", "Завершить с ошибкой";
    LOG_OUT_DEVICE: "Log out", "Отвязать";
    BACK_TO_PHONES: "All phones", "Все телефоны";
}
