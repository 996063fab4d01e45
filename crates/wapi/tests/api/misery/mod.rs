//! The promises, kept while what the gateway talks to is down, slow, broken, full or lying: nothing is lost, nothing is out of order
//! within its chat, and it recovers by itself.

mod crowd;
mod disk;
mod moody;
mod receiver;
mod redis;
mod whatsapp;
