//! The texts of the forms for routes. Pure.

pub use crate::http::dashboard::texts::*;

page_texts! {
    TRY_HINT: "Every route as a form. It is called with the rights of this login; programs call it with their key, as the curl line shows.",
        "Каждый маршрут API в виде формы. Вызов идёт с правами этого входа; программы вызывают его со своим ключом, как показывает строка curl.";
    CURL: "As curl", "Вызов через curl";
    CURL_HINT: "WAPI is the address of the gateway, WAPI_API_KEY is your key.",
        "WAPI — адрес шлюза, WAPI_API_KEY — ваш ключ.";
    SHOW_CURL: "Show as curl", "Показать curl";
    CALL: "Call", "Вызвать";
    PARAMETERS: "Parameters", "Параметры";
    BODY: "Body", "Тело запроса";
    KINDS: "Kinds of messages", "Виды сообщений";
    ONE_A_LINE: "one a line", "по одному в строке";
    AS_JSON: "as JSON", "в виде JSON";
    LEFT_OUT: "left out", "не указано";
    BACK_TO_ROUTES: "All routes", "Все маршруты";
    BYTES_OF: "bytes of", "байт типа";
}
