//! The client's side of the connection phase: greeting, TLS, the plugins mysql_native_password, caching_sha2_password (fast,
//! full over TLS, full by RSA), client_ed25519 and mysql_clear_password.

use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use ed25519_dalek::{VerifyingKey, hazmat};
use rustls::pki_types::{SubjectPublicKeyInfoDer, pem::PemObject as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};

use super::{
    Startup, flags,
    packet::{Reader, put_bytes, text},
};

/// Handshake v10, the server's first packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Greeting {
    /// Server version.
    pub version: String,
    /// Connection id.
    pub connection: u32,
    /// What the server can do; MariaDB's own flags above bit 31.
    pub capabilities: u64,
    /// Collation, lowest byte.
    pub charset: u8,
    /// Status flags.
    pub status: u16,
    /// 20 bytes.
    pub scramble: Vec<u8>,
    /// Plugin of the scramble.
    pub plugin: String,
}

impl Greeting {
    /// Takes a greeting apart; `None` when it is another protocol version or an ERR packet.
    pub fn read(payload: &[u8]) -> Option<Self> {
        if payload.first() != Some(&10) {
            return None;
        }
        let mut reader = Reader(&payload[1..]);
        let version = text(reader.zero_ended());
        let connection = u32::try_from(reader.int(4)).expect("four bytes");
        let mut scramble = reader.take(8).to_vec();
        reader.take(1);
        let mut capabilities = reader.int(2);
        let charset = reader.take(1)[0];
        let status = reader.short();
        capabilities |= reader.int(2) << 16;
        let length = usize::try_from(reader.int(1)).expect("a byte");
        reader.take(6);
        let own = reader.int(4);
        // MariaDB leaves the first flag (CLIENT_MYSQL) out and has flags of its own instead.
        if capabilities & 1 == 0 {
            capabilities |= own << 32;
        }
        let rest = reader.take(length.saturating_sub(8).max(13));
        scramble.extend(&rest[..12]);
        Some(Self { version, connection, capabilities, charset, status, scramble, plugin: text(reader.zero_ended()) })
    }

    /// Whether the server can do this.
    pub fn has(&self, flag: u64) -> bool {
        self.capabilities & flag != 0
    }

    /// Whether it is MariaDB's.
    pub fn is_mariadb(&self) -> bool {
        self.capabilities & 1 == 0
    }
}

/// What is agreed: what the client wants and the server has, and what is forced.
pub(super) fn agreed(startup: &Startup, greeting: &Greeting) -> u64 {
    let mut wanted = startup.flags;
    if !startup.database.is_empty() {
        wanted |= flags::CONNECT_WITH_DB;
    }
    if !startup.attributes.is_empty() {
        wanted |= flags::CONNECT_ATTRS;
    }
    wanted & greeting.capabilities | greeting.capabilities & 1 | startup.forced
}

/// The fixed head of a handshake response; by itself it is the SSLRequest.
pub(super) fn head(startup: &Startup, capabilities: u64) -> Vec<u8> {
    let low = u32::try_from(capabilities & 0xFFFF_FFFF).expect("masked");
    let high = u32::try_from(capabilities >> 32).expect("shifted");
    let mut body = low.to_le_bytes().to_vec();
    body.extend(0x4000_0000u32.to_le_bytes());
    body.push(startup.charset);
    body.extend([0; 19]);
    body.extend(high.to_le_bytes());
    body
}

/// HandshakeResponse41.
pub(super) fn response(startup: &Startup, capabilities: u64, plugin: &str, answer: &[u8]) -> Vec<u8> {
    let mut body = head(startup, capabilities);
    body.extend([startup.user.as_bytes(), b"\0"].concat());
    if capabilities & flags::PLUGIN_AUTH_LENENC != 0 {
        put_bytes(&mut body, answer);
    } else if capabilities & flags::SECURE_CONNECTION != 0 {
        body.push(u8::try_from(answer.len()).expect("a short answer"));
        body.extend(answer);
    } else {
        body.extend([answer, b"\0"].concat());
    }
    if capabilities & flags::CONNECT_WITH_DB != 0 {
        body.extend([startup.database.as_bytes(), b"\0"].concat());
    }
    if capabilities & flags::PLUGIN_AUTH != 0 {
        body.extend([plugin.as_bytes(), b"\0"].concat());
    }
    if capabilities & flags::CONNECT_ATTRS != 0 {
        put_bytes(&mut body, &attributes(startup));
    }
    if capabilities & flags::ZSTD != 0 {
        body.push(3);
    }
    body
}

fn attributes(startup: &Startup) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in &startup.attributes {
        put_bytes(&mut body, name.as_bytes());
        put_bytes(&mut body, value.as_bytes());
    }
    body
}

/// COM_CHANGE_USER.
pub(super) fn change_user(startup: &Startup, capabilities: u64, plugin: &str, answer: &[u8]) -> Vec<u8> {
    let mut body = vec![super::command::CHANGE_USER];
    body.extend([startup.user.as_bytes(), b"\0"].concat());
    body.push(u8::try_from(answer.len()).expect("a short answer"));
    body.extend(answer);
    body.extend([startup.database.as_bytes(), b"\0"].concat());
    body.extend([startup.charset, 0]);
    body.extend([plugin.as_bytes(), b"\0"].concat());
    if capabilities & flags::CONNECT_ATTRS != 0 {
        put_bytes(&mut body, &attributes(startup));
    }
    body
}

/// A plugin's first answer to a scramble.
pub(super) fn first_answer(plugin: &str, password: &str, scramble: &[u8]) -> Vec<u8> {
    let password = password.as_bytes();
    match plugin {
        "mysql_clear_password" => [password, b"\0"].concat(),
        _ if password.is_empty() => Vec::new(),
        "mysql_native_password" => {
            let once = Sha1::digest(password);
            let mixed = Sha1::new().chain_update(scramble).chain_update(Sha1::digest(once)).finalize();
            xor(&once, &mixed)
        }
        "caching_sha2_password" => {
            let once = Sha256::digest(password);
            let mixed = Sha256::new().chain_update(Sha256::digest(once)).chain_update(scramble).finalize();
            xor(&once, &mixed)
        }
        "client_ed25519" => {
            let secret = hazmat::ExpandedSecretKey::from_bytes(&Sha512::digest(password).into());
            let public = VerifyingKey::from(&secret);
            hazmat::raw_sign::<Sha512>(&secret, scramble, &public).to_bytes().to_vec()
        }
        other => panic!("the plugin `{other}` is not known here"),
    }
}

/// The password, sealed for the server's key.
pub(super) fn sealed(password: &str, scramble: &[u8], pem: &[u8]) -> Vec<u8> {
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).expect("the server's public key, PEM");
    let key = PublicEncryptingKey::from_der(der.as_ref()).expect("an RSA key");
    let key = OaepPublicEncryptingKey::new(key).expect("a key for OAEP");
    let open = xor(&[password.as_bytes(), b"\0"].concat(), scramble);
    let mut out = vec![0; key.ciphertext_size()];
    key.encrypt(&OAEP_SHA1_MGF1SHA1, &open, &mut out, None).expect("a short password").to_vec()
}

fn xor(one: &[u8], other: &[u8]) -> Vec<u8> {
    one.iter().zip(other.iter().cycle()).map(|(a, b)| a ^ b).collect()
}
