//! What this process dials and which names it looks up, whichever library does it: the test program stands between them and the
//! C library.
#![expect(
    unsafe_code,
    reason = "two functions of the C library are replaced by ones that take notes"
)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Mutex;

static DIALLED: Mutex<Vec<SocketAddr>> = Mutex::new(Vec::new());
static LOOKED_UP: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The addresses that were dialled so far.
pub fn dialled() -> Vec<SocketAddr> {
    DIALLED.lock().unwrap().clone()
}

/// The names that were looked up so far.
pub fn looked_up() -> Vec<String> {
    LOOKED_UP.lock().unwrap().clone()
}

/// In place of the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn connect(
    socket: c_int,
    address: *const libc::sockaddr,
    length: libc::socklen_t,
) -> c_int {
    // SAFETY: the caller's address is valid, as it is for the kernel.
    let noted = unsafe {
        match c_int::from((*address).sa_family) {
            libc::AF_INET => {
                let address = &*address.cast::<libc::sockaddr_in>();
                let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
                Some(SocketAddr::from((ip, u16::from_be(address.sin_port))))
            }
            libc::AF_INET6 => {
                let address = &*address.cast::<libc::sockaddr_in6>();
                let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
                Some(SocketAddr::from((ip, u16::from_be(address.sin6_port))))
            }
            _ => None,
        }
    };
    DIALLED.lock().unwrap().extend(noted);
    // SAFETY: the same call.
    unsafe { libc::syscall(libc::SYS_connect, socket, address, length) as c_int }
}

type LookUp = unsafe extern "C" fn(
    *const c_char,
    *const c_char,
    *const libc::addrinfo,
    *mut *mut libc::addrinfo,
) -> c_int;

/// In place of the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn getaddrinfo(
    name: *const c_char,
    service: *const c_char,
    hints: *const libc::addrinfo,
    found: *mut *mut libc::addrinfo,
) -> c_int {
    if !name.is_null() {
        // SAFETY: the caller's name is a text of C.
        let name = unsafe { CStr::from_ptr(name) };
        let name = name.to_string_lossy().into_owned();
        LOOKED_UP.lock().unwrap().push(name);
    }
    // SAFETY: it is there, and has this type.
    let real = unsafe {
        let real = libc::dlsym(libc::RTLD_NEXT, c"getaddrinfo".as_ptr());
        assert!(!real.is_null(), "the C library looks names up");
        std::mem::transmute::<*mut c_void, LookUp>(real)
    };
    // SAFETY: the same call.
    unsafe { real(name, service, hints, found) }
}
