//! The summaries of routes, their families, and their examples in Russian. Pure.
//!
//! The English ones are those of the API's description.

use crate::http::dashboard::texts::PageText;

/// Returns the summary of a route in every language.
pub fn summary_text(method: &str, path: &str, english: &'static str) -> PageText {
    let mut rows = SUMMARIES.iter();
    let row = rows.find(|row| (row.0, row.1) == (method, path));
    let russian = row.map_or(english, |row| row.2);
    PageText { english, russian }
}

/// Returns the name of a family of routes in every language.
pub fn tag_text(english: &'static str) -> PageText {
    find_text(&TAGS, english, english)
}

/// Returns the title of an example in every language.
pub fn example_text(name: &str, english: &'static str) -> PageText {
    find_text(&EXAMPLES, name, english)
}

/// Returns the text in the row with this name; a test shows that there is one.
fn find_text(rows: &[(&str, &'static str)], wanted: &str, english: &'static str) -> PageText {
    let row = rows.iter().find(|(name, _)| *name == wanted);
    let russian = row.map_or(english, |(_, russian)| *russian);
    PageText { english, russian }
}

const TAGS: [(&str, &str); 14] = [
    ("Sessions", "Сессии"),
    ("Messages", "Сообщения"),
    ("Files", "Файлы"),
    ("Profiles", "Профили"),
    ("Groups", "Группы"),
    ("Communities", "Сообщества"),
    ("Newsletters", "Каналы"),
    ("Shops", "Магазины"),
    ("History", "История"),
    ("Signals", "Сигналы"),
    ("Events", "События"),
    ("Webhooks", "Вебхуки"),
    ("API keys", "Ключи API"),
    ("Watching", "Наблюдение"),
];

const EXAMPLES: [(&str, &str); 27] = [
    ("text", "Текст"),
    ("image", "Изображение по ссылке"),
    ("video", "Видео, которое идёт как GIF"),
    ("audio", "Голосовое сообщение"),
    ("document", "Документ"),
    ("sticker", "Стикер"),
    ("location", "Место"),
    ("contacts", "Карточка контакта"),
    ("poll", "Опрос"),
    ("event", "Мероприятие"),
    ("album", "Альбом"),
    ("live_location", "Трансляция места"),
    ("group_invite", "Приглашение в группу"),
    ("newsletter_invite", "Приглашение в администраторы канала"),
    ("phone_number_request", "Запрос номера телефона"),
    ("interactive", "Кнопки"),
    ("product", "Товар из своего каталога"),
    ("poll_vote", "Голос в опросе"),
    ("event_response", "Ответ на мероприятие"),
    ("reaction", "Реакция"),
    ("reply", "Ответ на сообщение"),
    ("mention", "Упоминание в группе"),
    ("hasty", "Текст, который уходит за пять минут или никогда"),
    ("status", "Статус"),
    ("batch", "Один текст двум людям"),
    ("group", "Группа из двоих, где пишут только администраторы"),
    ("community", "Сообщество с общим чатом"),
];

/// Declares the summary of each route.
macro_rules! summaries {
    ($($method:ident $path:literal: $russian:literal;)+) => {
        /// Method and path of each route, and its summary.
        const SUMMARIES: &[(&str, &str, &str)] = &[$((stringify!($method), $path, $russian)),+];
    };
}

summaries! {
    GET "/v1/sessions": "Список сессий по имени";
    POST "/v1/sessions": "Создать сессию";
    DELETE "/v1/sessions/{session}": "Удалить сессию; её доставки в очереди остаются";
    GET "/v1/sessions/{session}": "Сессия";
    PATCH "/v1/sessions/{session}": "Изменить темп отправки сессии или её прокси";
    POST "/v1/sessions/{session}/check": "Проверить весь путь входящих сообщений, от WhatsApp до диска";
    GET "/v1/sessions/{session}/connect-links": "Список ссылок для владельцев телефонов, сначала старые";
    POST "/v1/sessions/{session}/connect-links": "Создать ссылку, по которой владелец телефона привяжет сессию";
    DELETE "/v1/sessions/{session}/connect-links/{id}": "Отозвать ссылку для владельца телефона";
    GET "/v1/sessions/{session}/limits": "Спросить у WhatsApp ограничения аккаунта";
    POST "/v1/sessions/{session}/logout": "Отвязать сессию от аккаунта";
    POST "/v1/sessions/{session}/pairing-code": "Запросить код привязки, который вводят в телефоне";
    GET "/v1/sessions/{session}/passkey": "Ключ доступа, который WhatsApp просит перед привязкой";
    POST "/v1/sessions/{session}/passkey": "Ответить подписью ключа доступа";
    POST "/v1/sessions/{session}/passkey/confirm": "Подтвердить, что телефон показывает тот же код";
    POST "/v1/sessions/{session}/proxy/check": "Проверить прокси сессии: соединиться через него с WhatsApp";
    GET "/v1/sessions/{session}/qr": "Получить текущий QR-код";
    POST "/v1/sessions/{session}/restart": "Переподключить сессию";
    POST "/v1/sessions/{session}/start": "Запустить сессию; теперь она запускается и вместе с программой";
    POST "/v1/sessions/{session}/stop": "Остановить сессию; после перезапуска программы она остаётся остановленной";
    POST "/v1/sessions/{session}/messages": "Отправить сообщение ровно один раз";
    POST "/v1/sessions/{session}/messages/batch": "Отправить много сообщений; каждое принимается отдельно";
    DELETE "/v1/sessions/{session}/messages/{id}": "Удалить сообщение, до или после отправки";
    GET "/v1/sessions/{session}/messages/{id}": "Получить отправленное сообщение и его состояние";
    PATCH "/v1/sessions/{session}/messages/{id}": "Изменить текст или подпись, до или после отправки";
    POST "/v1/sessions/{session}/messages/{id}/ask-again": "Запросить непрочитанное сообщение ещё раз";
    POST "/v1/sessions/{session}/messages/{id}/forward": "Переслать сообщение";
    DELETE "/v1/sessions/{session}/messages/{id}/keep": "Больше не сохранять сообщение; оно исчезнет с остальными";
    PUT "/v1/sessions/{session}/messages/{id}/keep": "Сохранить сообщение в чате с исчезающими сообщениями";
    DELETE "/v1/sessions/{session}/messages/{id}/pin": "Открепить сообщение";
    PUT "/v1/sessions/{session}/messages/{id}/pin": "Закрепить сообщение для всех в его чате";
    DELETE "/v1/sessions/{session}/messages/{id}/star": "Убрать сообщение из избранного";
    PUT "/v1/sessions/{session}/messages/{id}/star": "Добавить сообщение в избранное аккаунта";
    POST "/v1/sessions/{session}/messages/{id}/view": "Отметить статус просмотренным";
    DELETE "/v1/media/{id}": "Удалить файл";
    GET "/v1/media/{id}": "Получить запись о файле";
    GET "/v1/media/{id}/content": "Файл";
    GET "/v1/sessions/{session}/media": "Список файлов сессии, сначала новые";
    POST "/v1/sessions/{session}/media": "Загрузить файл для отправки";
    GET "/v1/sessions/{session}/blocked": "Список заблокированных аккаунтом";
    DELETE "/v1/sessions/{session}/contacts/{contact}/block": "Разблокировать человека";
    PUT "/v1/sessions/{session}/contacts/{contact}/block": "Заблокировать человека; его сообщения пропадают без уведомления";
    GET "/v1/sessions/{session}/contacts/{contact}/business": "Получить профиль компании";
    GET "/v1/sessions/{session}/contacts/{contact}/picture": "Фото человека";
    POST "/v1/sessions/{session}/contacts/{contact}/report": "Пожаловаться WhatsApp на сообщение как на спам";
    GET "/v1/sessions/{session}/devices": "Список устройств аккаунта";
    GET "/v1/sessions/{session}/privacy": "Получить настройки конфиденциальности аккаунта";
    PATCH "/v1/sessions/{session}/privacy": "Изменить настройки конфиденциальности, хотя бы одну";
    GET "/v1/sessions/{session}/profile": "Получить профиль аккаунта";
    PUT "/v1/sessions/{session}/profile": "Изменить имя или сведения, хотя бы одно";
    DELETE "/v1/sessions/{session}/profile/picture": "Удалить фото";
    PUT "/v1/sessions/{session}/profile/picture": "Установить фото, обрезанное до квадрата по центру";
    GET "/v1/sessions/{session}/groups": "Список групп и сообществ аккаунта";
    POST "/v1/sessions/{session}/groups": "Создать группу";
    GET "/v1/sessions/{session}/groups/invites": "Посмотреть группу приглашения из сообщения, не вступая";
    GET "/v1/sessions/{session}/groups/invites/{code}": "Посмотреть группу по ссылке-приглашению, не вступая";
    POST "/v1/sessions/{session}/groups/join": "Вступить в группу по ссылке или по приглашению из сообщения";
    GET "/v1/sessions/{session}/groups/{group}": "Получить группу и её участников";
    PATCH "/v1/sessions/{session}/groups/{group}": "Изменить группу, хотя бы одно свойство";
    DELETE "/v1/sessions/{session}/groups/{group}/invite": "Отозвать ссылку-приглашение группы";
    GET "/v1/sessions/{session}/groups/{group}/invite": "Получить ссылку-приглашение группы";
    DELETE "/v1/sessions/{session}/groups/{group}/membership": "Покинуть группу";
    GET "/v1/sessions/{session}/groups/{group}/participants": "Список участников группы, в JSON или CSV";
    POST "/v1/sessions/{session}/groups/{group}/participants": "Добавить людей в группу";
    DELETE "/v1/sessions/{session}/groups/{group}/participants/{participant}": "Удалить участника из группы";
    PUT "/v1/sessions/{session}/groups/{group}/participants/{participant}/role": "Сделать участника администратором или наоборот";
    DELETE "/v1/sessions/{session}/groups/{group}/picture": "Удалить фото группы";
    GET "/v1/sessions/{session}/groups/{group}/picture": "Получить фото группы";
    PUT "/v1/sessions/{session}/groups/{group}/picture": "Установить фото группы, обрезанное до квадрата по центру";
    GET "/v1/sessions/{session}/groups/{group}/requests": "Список желающих вступить в группу";
    POST "/v1/sessions/{session}/groups/{group}/requests": "Принять или отклонить желающих вступить в группу";
    GET "/v1/sessions/{session}/communities": "Список сообществ аккаунта";
    POST "/v1/sessions/{session}/communities": "Создать сообщество";
    DELETE "/v1/sessions/{session}/communities/{community}": "Распустить сообщество; его группы остаются";
    GET "/v1/sessions/{session}/communities/{community}": "Получить сообщество и его группы";
    POST "/v1/sessions/{session}/communities/{community}/groups": "Связать группу с сообществом или создать её в нём";
    DELETE "/v1/sessions/{session}/communities/{community}/groups/{group}": "Вывести группу из сообщества";
    POST "/v1/sessions/{session}/communities/{community}/groups/{group}/join": "Вступить в группу сообщества, в котором состоит аккаунт";
    DELETE "/v1/sessions/{session}/communities/{community}/participants/{participant}": "Удалить человека из сообщества и всех его групп";
    GET "/v1/sessions/{session}/newsletters": "Список каналов, на которые аккаунт подписан или в которых может писать";
    POST "/v1/sessions/{session}/newsletters": "Создать канал";
    GET "/v1/sessions/{session}/newsletters/search": "Искать в открытом каталоге каналов WhatsApp";
    DELETE "/v1/sessions/{session}/newsletters/{newsletter}": "Удалить свой канал для всех";
    GET "/v1/sessions/{session}/newsletters/{newsletter}": "Получить канал, с подпиской или без";
    PATCH "/v1/sessions/{session}/newsletters/{newsletter}": "Изменить свой канал, хотя бы одно свойство";
    DELETE "/v1/sessions/{session}/newsletters/{newsletter}/admins/{contact}": "Сделать администратора снова подписчиком";
    PUT "/v1/sessions/{session}/newsletters/{newsletter}/counts": "Несколько минут следить за числом реакций";
    DELETE "/v1/sessions/{session}/newsletters/{newsletter}/follow": "Отписаться от канала";
    PUT "/v1/sessions/{session}/newsletters/{newsletter}/follow": "Подписаться на канал";
    GET "/v1/sessions/{session}/newsletters/{newsletter}/followers": "Список подписчиков и администраторов своего канала";
    GET "/v1/sessions/{session}/newsletters/{newsletter}/insights": "Статистика своего канала";
    GET "/v1/sessions/{session}/newsletters/{newsletter}/invites": "Список приглашённых в администраторы своего канала";
    POST "/v1/sessions/{session}/newsletters/{newsletter}/invites/accept": "Принять приглашение в администраторы канала";
    DELETE "/v1/sessions/{session}/newsletters/{newsletter}/invites/{contact}": "Отозвать приглашение в администраторы";
    PUT "/v1/sessions/{session}/newsletters/{newsletter}/invites/{contact}": "Пригласить подписчика в администраторы своего канала";
    GET "/v1/sessions/{session}/newsletters/{newsletter}/messages": "Список публикаций канала, сначала новые";
    DELETE "/v1/sessions/{session}/newsletters/{newsletter}/messages/{post}": "Удалить публикацию для всех";
    PATCH "/v1/sessions/{session}/newsletters/{newsletter}/messages/{post}": "Заменить текст публикации или подпись её файла";
    DELETE "/v1/sessions/{session}/newsletters/{newsletter}/messages/{post}/reaction": "Убрать реакцию на публикацию";
    PUT "/v1/sessions/{session}/newsletters/{newsletter}/messages/{post}/reaction": "Поставить реакцию на публикацию вместо прежней";
    DELETE "/v1/sessions/{session}/newsletters/{newsletter}/mute": "Включить уведомления канала";
    PUT "/v1/sessions/{session}/newsletters/{newsletter}/mute": "Выключить уведомления канала в телефоне аккаунта";
    PUT "/v1/sessions/{session}/newsletters/{newsletter}/owner": "Передать свой канал одному из администраторов";
    DELETE "/v1/sessions/{session}/newsletters/{newsletter}/picture": "Удалить фото";
    PUT "/v1/sessions/{session}/newsletters/{newsletter}/picture": "Установить фото, обрезанное до квадрата по центру";
    GET "/v1/sessions/{session}/catalog": "Список товаров компании";
    GET "/v1/sessions/{session}/orders/{order}": "Получить заказ покупателя";
    GET "/v1/sessions/{session}/chats": "Список чатов, сначала с новыми сообщениями";
    GET "/v1/sessions/{session}/chats/{chat}": "Чат";
    POST "/v1/sessions/{session}/chats/{chat}/history": "Запросить у телефона сообщения старше самого раннего сохранённого";
    DELETE "/v1/sessions/{session}/chats/{chat}/labels/{label}": "Снять ярлык с чата";
    PUT "/v1/sessions/{session}/chats/{chat}/labels/{label}": "Поставить ярлык на чат";
    GET "/v1/sessions/{session}/chats/{chat}/messages": "Список сообщений чата, сначала новые";
    GET "/v1/sessions/{session}/contacts": "Список контактов по идентификатору";
    GET "/v1/sessions/{session}/contacts/{contact}": "Получить контакт";
    GET "/v1/sessions/{session}/labels": "Список ярлыков аккаунта";
    POST "/v1/sessions/{session}/labels": "Создать ярлык";
    DELETE "/v1/sessions/{session}/labels/{label}": "Удалить ярлык и снять его со всех чатов";
    PUT "/v1/sessions/{session}/labels/{label}": "Переименовать ярлык или сменить его цвет";
    GET "/v1/sessions/{session}/labels/{label}/chats": "Список чатов с ярлыком";
    GET "/v1/sessions/{session}/messages": "Искать сообщения по тексту, сначала последние";
    DELETE "/v1/sessions/{session}/messages/{id}/labels/{label}": "Снять ярлык с сообщения";
    PUT "/v1/sessions/{session}/messages/{id}/labels/{label}": "Поставить ярлык на сообщение";
    POST "/v1/sessions/{session}/calls/links": "Создать ссылку, по которой может позвонить каждый";
    POST "/v1/sessions/{session}/calls/{call}/reject": "Отклонить входящий звонок";
    PATCH "/v1/sessions/{session}/chats/{chat}": "Изменить настройки чата, хотя бы одну";
    POST "/v1/sessions/{session}/chats/{chat}/read": "Отметить сообщения прочитанными, видимо для отправителей";
    POST "/v1/sessions/{session}/chats/{chat}/typing": "Показать, что аккаунт печатает или записывает голос";
    POST "/v1/sessions/{session}/contacts/check": "Проверить, какие номера есть в WhatsApp";
    DELETE "/v1/sessions/{session}/contacts/{contact}/presence": "Больше не следить за присутствием человека";
    PUT "/v1/sessions/{session}/contacts/{contact}/presence": "Следить за присутствием человека";
    PUT "/v1/sessions/{session}/presence": "Показать аккаунт в сети или не в сети";
    GET "/v1/events": "Список событий с любого места";
    GET "/v1/webhooks": "Список вебхуков, сначала старые";
    POST "/v1/webhooks": "Создать вебхук";
    DELETE "/v1/webhooks/{id}": "Удалить вебхук и его доставки в очереди";
    GET "/v1/webhooks/{id}": "Вебхук";
    PATCH "/v1/webhooks/{id}": "Изменить вебхук; неуказанные поля остаются прежними";
    GET "/v1/webhooks/{id}/deliveries": "Список доставок вебхука, сначала новые";
    POST "/v1/webhooks/{id}/deliveries": "Отправить вебхуку одно событие, на что бы он ни был подписан";
    POST "/v1/webhooks/{id}/deliveries/resend": "Отправить снова все неудавшиеся доставки";
    POST "/v1/webhooks/{id}/deliveries/{delivery}/resend": "Отправить доставку снова";
    POST "/v1/webhooks/{id}/enable": "Включить вебхук; доставки продолжатся с места остановки";
    POST "/v1/webhooks/{id}/replay": "Повторить события за период";
    POST "/v1/webhooks/{id}/rotate-secret": "Сменить секрет";
    POST "/v1/webhooks/{id}/test": "Отправить пробное событие";
    GET "/v1/api-keys": "Список ключей API, кроме ключа из настроек";
    POST "/v1/api-keys": "Создать ключ API";
    DELETE "/v1/api-keys/{id}": "Удалить ключ API";
    GET "/v1/activity": "Журнал вызовов: изменения по одному, отправка и чтение по часам";
    GET "/v1/settings": "Список действующих настроек, без секретов";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::access::api_keys::Caller;
    use crate::http::dashboard::pages::try_it::operations::list_operations;
    use crate::http::dashboard::texts::check_texts;

    #[test]
    fn every_route_family_and_example_of_the_forms_is_in_russian() {
        let operations = list_operations(&Caller::without_key());
        let (mut routes, mut tags, mut examples) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for operation in &operations {
            check_texts(&[
                (operation.path, operation.summary()),
                (operation.tag, tag_text(operation.tag)),
            ]);
            routes.insert((operation.method.as_str(), operation.path));
            tags.insert(operation.tag);
            for (name, title, _) in operation.examples() {
                check_texts(&[(name, example_text(name, title))]);
                examples.insert(name);
            }
        }
        // And nothing that there is no more.
        for (method, path, _) in SUMMARIES.iter().copied() {
            assert!(routes.contains(&(method, path)), "{method} {path}");
        }
        assert!(TAGS.iter().all(|(name, _)| tags.contains(name)));
        assert!(EXAMPLES.iter().all(|(name, _)| examples.contains(name)));
    }
}
