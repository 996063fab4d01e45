//! The texts of contacts and groups. Pure.

pub use crate::http::dashboard::texts::*;

page_texts! {
    // Contacts.
    NO_CONTACTS: "There are no contacts.", "Контактов нет.";
    OPEN_CHAT: "Open the chat", "Открыть чат";
    BLOCK: "Block", "Заблокировать";
    UNBLOCK: "Unblock", "Разблокировать";
    LID: "LID", "LID (скрытый номер)";
    IDENTIFIER: "Id", "Идентификатор";
    PICTURE: "Profile picture", "Фото профиля";
    SHOW_PICTURE: "Ask WhatsApp for the picture", "Запросить фото у WhatsApp";
    // Groups.
    NO_GROUPS: "The account is in no group.", "Аккаунт не состоит в группах.";
    SUBJECT: "Subject", "Название";
    DESCRIPTION: "Description", "Описание";
    MEMBERS: "Members", "Участники";
    NAME_OR_NUMBER: "Name or number", "Имя или номер";
    FOUND: "Found:", "Найдено:";
    NO_MEMBERS: "No member matches.", "Подходящих участников нет.";
    MEMBER_COUNT: "Members", "Участников";
    NEW_GROUP: "New group", "Новая группа";
    PEOPLE: "People, one number a line", "Люди, по одному номеру в строке";
    JOIN_GROUP: "Join a group", "Вступить в группу";
    LINK_OR_CODE: "Invite link or code", "Ссылка-приглашение или код";
    JOIN: "Join", "Вступить";
    JOIN_PENDING: "An admin of the group decides about it.", "Решение за администратором группы.";
    ROLE: "Role", "Роль";
    MEMBER: "member", "участник";
    ADMIN: "admin", "администратор";
    SUPERADMIN: "founder", "создатель";
    PROMOTE: "Make admin", "Сделать администратором";
    DEMOTE: "Make member", "Сделать участником";
    REMOVE_MEMBER: "Remove", "Удалить";
    ADD_MEMBERS: "Add members", "Добавить участников";
    RESULT: "Result", "Результат";
    INVITE_LINK: "Invite link", "Ссылка-приглашение";
    INVITE_HINT: "Everybody who has this link joins the group, or asks to.",
        "Каждый, у кого есть эта ссылка, вступает в группу или просит об этом.";
    INVITE_QR: "QR code of the invite link", "QR-код ссылки-приглашения";
    REVOKE: "Revoke, and make a new one", "Отозвать и создать новую";
    REQUESTS: "Requests to join", "Запросы на вступление";
    FIRST_REQUESTS: "Only the first ones are shown; the others follow as these are decided.",
        "Показаны только первые; остальные появятся, когда эти будут рассмотрены.";
    APPROVE: "Approve", "Принять";
    REJECT: "Reject", "Отклонить";
    CHANGE: "Change", "Изменить";
    SETTINGS: "Settings", "Настройки";
    ANNOUNCEMENT: "Only admins write", "Пишут только администраторы";
    LOCKED: "Only admins change subject and description", "Название и описание меняют только администраторы";
    APPROVAL: "Admins approve new members", "Новых участников одобряют администраторы";
    SUSPENDED: "WhatsApp has suspended this group.", "WhatsApp приостановил эту группу.";
    LEAVE: "Leave the group", "Покинуть группу";
    TYPE_SUBJECT: "Type the group's subject to confirm", "Введите название группы для подтверждения";
    REVOKE_QUESTION: "Revoke the invite link? Nobody can join with it any more.",
        "Отозвать ссылку-приглашение? По ней больше никто не вступит.";
    REMOVE_MEMBER_QUESTION: "Remove this member from the group?", "Удалить этого участника из группы?";
    REJECT_QUESTION: "Reject this request to join?", "Отклонить этот запрос на вступление?";
    BACK_TO_GROUP: "To the group", "К группе";
}
