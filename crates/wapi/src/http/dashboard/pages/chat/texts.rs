//! The texts of chats. Pure.

pub use crate::http::dashboard::texts::*;

page_texts! {
    NO_CHATS: "There are no chats yet.", "Чатов пока нет.";
    NEWEST: "Newest", "К последним";
    UNREAD: "unread", "непрочитано";
    ARCHIVED: "archived", "в архиве";
    PINNED: "pinned", "закреплён";
    YOU: "You", "Вы";
    NO_MESSAGES: "There are no messages.", "Сообщений нет.";
    DELETED: "This message was deleted.", "Сообщение удалено.";
    EDITED: "edited", "изменено";
    FORWARDED: "forwarded", "переслано";
    WRITE: "Message", "Сообщение";
    REPLY_TO: "Reply to message (id)", "Ответ на сообщение (id)";
    REPLY: "Reply", "Ответить";
    REACT: "React", "Реакция";
    FILE: "File", "Файл";
    CAPTION: "Caption", "Подпись";
    MARK_READ: "Mark as read", "Отметить прочитанным";
    READ_HINT: "Opening a chat here tells nobody that it was read.",
        "Открытие чата здесь никому не сообщает о прочтении.";
    DELETE_FOR_ALL_QUESTION: "Delete this message for everyone? It cannot be brought back.",
        "Удалить это сообщение у всех? Вернуть его нельзя.";
    DELETE_FOR_ME_QUESTION: "Delete this message for this account? It cannot be brought back.",
        "Удалить это сообщение у этого аккаунта? Вернуть его нельзя.";
    REMOVE_FILE_QUESTION: "Remove this file? It cannot be brought back.",
        "Удалить этот файл? Вернуть его нельзя.";
    DOWNLOAD: "Download", "Скачать";
    VIEW_ONCE: "view once", "однократный просмотр";
    POLL: "Poll", "Опрос";
    ALBUM: "Album", "Альбом";
    GROUP_INVITE: "Invitation to a group", "Приглашение в группу";
    NEWSLETTER_INVITE: "Invitation to administer a channel", "Приглашение администрировать канал";
    CONTACT: "Contact", "Контакт";
    LOCATION: "Location", "Место";
    UNSUPPORTED: "A kind of message without a shape of its own", "Сообщение особого вида";
    // Messages of every kind.
    RAW: "Raw JSON", "Исходный JSON";
    VOICE_NOTE: "Voice note", "Голосовое сообщение";
    PICTURE: "Picture", "Изображение";
    STICKER: "Sticker", "Стикер";
    VIDEO: "Video", "Видео";
    VIDEO_NOTE: "Video note", "Видеосообщение";
    ANIMATION: "Animation", "Анимация";
    AUDIO: "Audio", "Аудио";
    DOCUMENT: "Document", "Документ";
    PAGES: "pages", "стр.";
    NOT_KEPT: "The gateway keeps no copy of this file.", "Шлюз не хранит копию этого файла.";
    LIVE_LOCATION: "Live location", "Трансляция геопозиции";
    METRES: "m", "м";
    VOTES: "Votes", "Голосов";
    CHOICES: "Options to choose, at most", "Можно выбрать, не более";
    QUIZ_ANSWER: "correct", "верно";
    CALENDAR_EVENT: "Event", "Мероприятие";
    CANCELED: "canceled", "отменено";
    STARTS: "Starts", "Начало";
    ENDS: "Ends", "Конец";
    JOIN_LINK: "Link of the call", "Ссылка на звонок";
    GOING: "Going", "Пойдёт";
    NOT_GOING: "Not going", "Не пойдёт";
    MAYBE: "Maybe", "Возможно";
    VALID_UNTIL: "Valid until", "Действует до";
    PHONE_NUMBER_ASKED: "Asks for the phone number.", "Просит номер телефона.";
    LIST: "List", "Список";
    CHOSEN: "Chosen", "Выбрано";
    FORM_FILLED: "Form, filled in", "Заполненная форма";
    PAYMENT: "Payment request", "Запрос оплаты";
    PRODUCT: "Product", "Товар";
    ORDER: "Order", "Заказ";
    ITEMS: "items", "товаров";
    VOTED: "Voted", "Голос";
    RESPONDED: "Responded", "Ответ";
    REACTED: "Reaction", "Реакция";
    NEW_TEXT: "New text", "Новый текст";
    PINNED_MESSAGE: "Pinned a message", "Закреплено сообщение";
    UNPINNED_MESSAGE: "Unpinned a message", "Откреплено сообщение";
    KEPT_MESSAGE: "Kept a message", "Сообщение сохранено";
    UNKEPT_MESSAGE: "No longer keeps a message", "Сообщение больше не сохраняется";
    TIMER_SET: "New messages disappear after, seconds", "Новые сообщения исчезают через, секунд";
    TIMER_OFF: "New messages no longer disappear", "Новые сообщения больше не исчезают";
    PART_OF_ALBUM: "of an album", "из альбома";
    DISAPPEARS: "disappears", "исчезающее";
    TO_EVERYBODY: "mentions everybody", "упоминает всех";
    BY_ACCOUNT: "you", "вы";
    // A message of its own.
    MESSAGE: "Message", "Сообщение";
    MORE: "More about this message", "Подробнее о сообщении";
    IN_CHAT: "In the chat", "В чате";
    EDIT: "Edit", "Изменить";
    DELETE_FOR_ALL: "Delete for everyone", "Удалить у всех";
    DELETE_FOR_ME: "Delete for this account only", "Удалить только у этого аккаунта";
    FORWARD: "Forward", "Переслать";
    FORWARD_TO: "Forward to (number or chat)", "Переслать (номер или чат)";
    EMOJI: "Emoji", "Эмодзи";
    TAKE_BACK: "Take the reaction back", "Убрать реакцию";
    VOTE: "Vote", "Голосовать";
    RESPOND: "Respond", "Ответить на приглашение";
    DELIVERY: "Delivery", "Доставка";
    // Files.
    NO_FILES: "There are no files.", "Файлов нет.";
    SIZE: "Size", "Размер";
    // The composer.
    SEND_FILE: "Send a file", "Отправить файл";
    SEND_AS: "As", "Как";
    AS_IT_IS: "by its type", "по его типу";
    SEND_POLL: "Send a poll", "Отправить опрос";
    QUESTION: "Question", "Вопрос";
    OPTIONS: "Options, one a line", "Варианты, по одному в строке";
    MOST_CHOICES: "Options that one person may choose", "Сколько вариантов можно выбрать";
    SENT_MESSAGE: "Your message", "Ваше сообщение";
}
