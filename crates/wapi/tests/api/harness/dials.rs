//! What this process dials and which names it looks up, whichever library does it: the test program stands between them and the
//! C library.
#![expect(
    unsafe_code,
    reason = "two functions of the C library are replaced by ones that take notes"
)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Mutex;

static DIALLED: Mutex<Vec<SocketAddr>> = Mutex::new(Vec::new());
static LOOKED_UP: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// The addresses of `localhost` in this process; none: what the system says.
static LOCALHOST: Mutex<Vec<Ipv4Addr>> = Mutex::new(Vec::new());

/// The addresses that were dialled so far.
pub fn dialled() -> Vec<SocketAddr> {
    DIALLED.lock().unwrap().clone()
}

/// The names that were looked up so far.
pub fn looked_up() -> Vec<String> {
    LOOKED_UP.lock().unwrap().clone()
}

/// From now on, `localhost` has these addresses. Only for a process that runs one story.
pub fn localhost_is(addresses: &[Ipv4Addr]) {
    *LOCALHOST.lock().unwrap() = addresses.to_vec();
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
    let mut addresses = Vec::new();
    if !name.is_null() {
        // SAFETY: the caller's name is a text of C.
        let name = unsafe { CStr::from_ptr(name) };
        let name = name.to_string_lossy().into_owned();
        if name == "localhost" {
            addresses.clone_from(&LOCALHOST.lock().unwrap());
        }
        LOOKED_UP.lock().unwrap().push(name);
    }
    // SAFETY: it is there, and has this type.
    let real = unsafe {
        let real = libc::dlsym(libc::RTLD_NEXT, c"getaddrinfo".as_ptr());
        assert!(!real.is_null(), "the C library looks names up");
        std::mem::transmute::<*mut c_void, LookUp>(real)
    };
    if addresses.is_empty() {
        // SAFETY: the same call.
        return unsafe { real(name, service, hints, found) };
    }
    // The end of the list so far.
    let mut end = found;
    for address in addresses {
        let address = CString::new(address.to_string()).expect("digits and dots");
        // SAFETY: the C library answers with a list, to whose end the next one is tied. It frees lists piece by piece.
        unsafe {
            let failed = real(address.as_ptr(), service, hints, end);
            if failed != 0 {
                return failed;
            }
            while !(*end).is_null() {
                end = &raw mut (**end).ai_next;
            }
        }
    }
    0
}
