//! The titles of problems in Russian. Pure.
//!
//! The English ones are those of the table of problems.

use super::PageText;

/// Returns the title of a problem in every language.
pub fn problem_text(code: &str, english: &'static str) -> PageText {
    let row = TITLES.iter().find(|(known, _)| *known == code);
    let russian = row.map_or(english, |(_, russian)| *russian);
    PageText { english, russian }
}

/// The code of each problem, and its title.
const TITLES: [(&str, &str); 88] = [
    ("invalid_body", "Неверное тело запроса"),
    ("invalid_fields", "Неверные поля"),
    ("body_too_slow", "Тело запроса приходит слишком медленно"),
    ("body_too_large", "Тело запроса слишком велико"),
    ("route_not_found", "Маршрут не найден"),
    ("method_not_allowed", "Метод не поддерживается"),
    ("not_acceptable", "Нет подходящего формата"),
    ("too_many_requests", "Слишком много запросов"),
    ("unauthorized", "Ключ API отсутствует или неверен"),
    ("stranger", "Запрос из недоверенного места"),
    ("foreign_form", "Форма с другого сайта"),
    ("stale_form", "Форма другого входа"),
    ("key_not_shown", "Ключ API давно не вводился"),
    ("scope_missing", "У ключа API нет нужного права"),
    ("session_not_allowed", "Ключ API не для этой сессии"),
    ("not_for_all_sessions", "Ключ API не для всех сессий"),
    ("api_key_not_found", "Ключ API не найден"),
    ("admin_key_first", "Первым нужен ключ администратора"),
    ("last_admin_key", "Последний ключ администратора"),
    ("session_not_found", "Сессия не найдена"),
    ("session_exists", "Сессия уже существует"),
    ("session_busy", "Сессия занята"),
    ("session_not_paired", "Сессия не привязана"),
    ("session_already_paired", "Сессия уже привязана"),
    ("session_not_online", "Сессия не в сети"),
    ("proxy_not_set", "Прокси нет"),
    ("session_failed", "Сессию не удаётся открыть"),
    ("qr_code_not_found", "QR-код не найден"),
    ("connection_not_found", "Соединение не найдено"),
    ("pairing_code_refused", "Кода привязки нет"),
    (
        "connect_link_not_found",
        "Ссылка для владельца телефона не найдена",
    ),
    ("passkey_not_found", "Ключ доступа не запрошен"),
    ("passkey_step", "Сейчас другой шаг ключа доступа"),
    ("passkey_refused", "Ключ доступа отклонён"),
    ("message_not_found", "Сообщение не найдено"),
    ("unreadable_not_found", "Непрочитанное сообщение не найдено"),
    ("message_readable", "Сообщение уже пришло"),
    ("on_phone_only", "Сообщение только для телефона"),
    ("asked_too_often", "Сообщение запрашивали слишком часто"),
    ("too_late", "Изменять сообщение поздно"),
    (
        "idempotency_key_reused",
        "Ключ идемпотентности уже использован",
    ),
    ("queue_full", "Слишком много сообщений в очереди"),
    ("too_many_links", "Слишком много ссылок в очереди"),
    ("whatsapp_refused", "WhatsApp отклонил запрос"),
    ("group_not_found", "Группа не найдена"),
    ("newsletter_not_found", "Канал не найден"),
    ("chat_not_found", "Чат не найден"),
    ("label_not_found", "Ярлык не найден"),
    ("contact_not_found", "Контакт не найден"),
    ("business_not_found", "Компания не найдена"),
    ("picture_not_found", "Фото не найдено"),
    ("call_not_found", "Звонок не найден"),
    ("catalog_not_found", "Каталог не найден"),
    ("order_not_found", "Заказ не найден"),
    ("history_off", "История выключена"),
    ("labels_unread", "Ярлыки ещё не прочитаны"),
    ("history_not_requested", "История не запрошена"),
    ("whatsapp_changed", "WhatsApp изменил запрос"),
    ("whatsapp_timeout", "WhatsApp не ответил"),
    ("group_forbidden", "В этой группе нельзя"),
    ("community_not_found", "Сообщество не найдено"),
    ("participant_not_found", "Участник не найден"),
    ("invite_not_found", "Приглашение не найдено"),
    ("description_changed", "Описание тем временем изменилось"),
    ("group_full", "Группа заполнена"),
    ("invite_unavailable", "Приглашение недоступно"),
    ("group_linked", "Группа уже связана"),
    ("group_rate_limited", "Слишком много изменений в группах"),
    ("media_not_found", "Файл не найден"),
    ("media_not_ready", "Файл ещё не загружен"),
    ("media_gone", "Файла больше нет"),
    ("range_not_satisfiable", "Такого диапазона нет"),
    ("webhook_not_found", "Вебхук не найден"),
    ("delivery_not_found", "Доставка не найдена"),
    ("event_not_found", "Событие не найдено"),
    ("webhook_is_original", "Вебхук задан в настройках"),
    ("starting", "Шлюз запускается"),
    ("stopping", "Шлюз останавливается"),
    ("not_ready", "Шлюз не готов"),
    ("internal", "Внутренняя ошибка"),
    ("media_unavailable", "Файл нельзя отправить"),
    ("expired", "Срок сообщения истёк"),
    ("session_logged_out", "Сессия отвязана"),
    ("not_sendable", "Сообщение нельзя отправить"),
    ("new_chats_held", "Новые чаты пока нельзя начинать"),
    ("pace_held", "Сообщения на сегодня отправлены"),
    ("not_on_whatsapp", "Номера нет в WhatsApp"),
    ("not_newsletter_admin", "Вы не администратор канала"),
];

#[cfg(test)]
mod tests {
    use super::super::check_texts;
    use super::*;
    use crate::http::error::{FAILED_SEND_TYPES, PROBLEM_TYPES};

    #[test]
    fn every_problem_has_a_title_in_russian() {
        let types = || PROBLEM_TYPES.iter().chain(&FAILED_SEND_TYPES);
        for known in types() {
            check_texts(&[(known.code, problem_text(known.code, known.title))]);
        }
        // And none that there is no more.
        for (code, _) in TITLES {
            assert!(types().any(|known| known.code == code), "{code}");
        }
    }
}
