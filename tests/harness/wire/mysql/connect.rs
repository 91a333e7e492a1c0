//! From TCP to a session: greeting, TLS, authentication, compression; the same again for COM_CHANGE_USER.

use super::{
    Client, Fault, Packing, Refused, Startup, Tls, flags,
    login::{self, Greeting, agreed},
    packet::{Reader, text},
    stream::Stream,
};
use crate::wire::{NoMessage, PATIENCE};

impl Client {
    /// Connects and logs in.
    ///
    /// # Errors
    /// [`Refused`], with what the server said.
    pub fn connect(startup: &Startup) -> Result<Self, Refused> {
        let mut client = Self::open(startup.port)?;
        client.log_in(startup)?;
        Ok(client)
    }

    /// The TCP connection and the greeting, nothing sent.
    ///
    /// # Errors
    /// When nobody listens, or another packet than a greeting comes.
    pub fn open(port: u16) -> Result<Self, Refused> {
        let stream = Stream::open(port).map_err(|_| Refused { error: None, received: Vec::new() })?;
        let mut client = Self {
            stream,
            received: Vec::new(),
            read: 0,
            closed: false,
            sequence: 0,
            strict: true,
            greeting: Greeting::default(),
            capabilities: flags::PROTOCOL_41,
            plugins: Vec::new(),
            handshake: 0,
            limit: PATIENCE,
            files: Default::default(),
        };
        let payload = client.login_payload()?;
        match Greeting::read(&payload) {
            Some(greeting) => client.greeting = greeting,
            None => return Err(client.refused((payload.first() == Some(&0xFF)).then(|| Fault::read(&payload)))),
        }
        Ok(client)
    }

    fn refused(&self, error: Option<Fault>) -> Refused {
        Refused { error, received: self.received.clone() }
    }

    fn login_payload(&mut self) -> Result<Vec<u8>, Refused> {
        self.next(self.limit).map_err(|_: NoMessage| self.refused(None))
    }

    /// Sends the handshake response and goes through authentication.
    ///
    /// # Errors
    /// [`Refused`], with what the server said.
    pub fn log_in(&mut self, startup: &Startup) -> Result<(), Refused> {
        let mut capabilities = agreed(startup, &self.greeting);
        if startup.tls != Tls::Off {
            capabilities |= flags::SSL;
            self.send_payload(&login::head(startup, capabilities));
            if self.stream.upgrade(&startup.tls).is_err() {
                return Err(self.refused(None));
            }
        }
        self.capabilities = capabilities;
        let plugin = startup.plugin.map_or_else(|| self.greeting.plugin.clone(), str::to_owned);
        // An account that needs a plugin we do not know is asked for another one by the server.
        let plugin = if KNOWN.contains(&plugin.as_str()) { plugin } else { "mysql_native_password".to_owned() };
        let scramble = self.greeting.scramble.clone();
        let answer = login::first_answer(&plugin, &startup.password, &scramble);
        self.plugins = vec![plugin.clone()];
        self.send_payload(&login::response(startup, capabilities, &plugin, &answer));
        self.authenticate(startup, plugin, scramble)?;
        match (capabilities & flags::COMPRESS != 0, capabilities & flags::ZSTD != 0) {
            (true, _) => self.stream.compress(Packing::Zlib),
            (false, true) => self.stream.compress(Packing::Zstd),
            (false, false) => {}
        }
        self.handshake = self.read;
        Ok(())
    }

    /// COM_CHANGE_USER, with authentication.
    ///
    /// # Errors
    /// [`Refused`], with what the server said.
    pub fn change_user(&mut self, startup: &Startup) -> Result<(), Refused> {
        let plugin = startup.plugin.map_or_else(|| self.greeting.plugin.clone(), str::to_owned);
        let scramble = self.greeting.scramble.clone();
        let answer = login::first_answer(&plugin, &startup.password, &scramble);
        self.plugins = vec![plugin.clone()];
        self.send_command(&login::change_user(startup, self.capabilities, &plugin, &answer));
        self.authenticate(startup, plugin, scramble)
    }

    fn authenticate(&mut self, startup: &Startup, plugin: String, scramble: Vec<u8>) -> Result<(), Refused> {
        let (mut plugin, mut scramble) = (plugin, scramble);
        let password = startup.password.as_str();
        loop {
            let payload = self.login_payload()?;
            match payload.split_first() {
                Some((0x00, _)) => return Ok(()),
                Some((0xFF, _)) => return Err(self.refused(Some(Fault::read(&payload)))),
                Some((0xFE, rest)) => {
                    let mut reader = Reader(rest);
                    plugin = text(reader.zero_ended());
                    scramble = reader.rest().strip_suffix(&[0]).unwrap_or(reader.0).to_vec();
                    if scramble.is_empty() {
                        scramble = rest[plugin.len() + 1..].to_vec();
                    }
                    self.plugins.push(plugin.clone());
                    let answer = login::first_answer(&plugin, password, &scramble);
                    self.send_payload(&answer);
                }
                Some((0x01, more)) => self.more(&plugin, more, password, &scramble)?,
                _ => panic!("authentication answer {payload:02x?} is not expected"),
            }
        }
    }

    /// AuthMoreData, all of it caching_sha2_password's.
    fn more(&mut self, plugin: &str, more: &[u8], password: &str, scramble: &[u8]) -> Result<(), Refused> {
        assert_eq!(plugin, "caching_sha2_password", "no other plugin has more to say: {more:02x?}");
        match more {
            [3] => self.plugins.push(format!("{plugin} fast")),
            [4] if self.stream.is_tls() => {
                self.plugins.push(format!("{plugin} full"));
                self.send_payload(&[password.as_bytes(), b"\0"].concat());
            }
            [4] => {
                self.plugins.push(format!("{plugin} rsa"));
                self.send_payload(&[2]);
                let key = self.login_payload()?;
                assert_eq!(key.first(), Some(&1), "the server's public key: {key:02x?}");
                self.send_payload(&login::sealed(password, scramble, &key[1..]));
            }
            other => panic!("AuthMoreData {other:02x?} is not expected"),
        }
        Ok(())
    }
}

const KNOWN: [&str; 4] = ["mysql_native_password", "caching_sha2_password", "client_ed25519", "mysql_clear_password"];
