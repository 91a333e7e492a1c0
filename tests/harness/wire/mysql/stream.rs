//! What packets travel in: a socket, TLS on it, the compressed protocol on top. Hands out plain bytes in the order they
//! came and knows nothing of packets.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    sync::Arc,
    time::Duration,
};

use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};

/// How a client uses TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// Not at all.
    #[default]
    Off,
    /// Whatever certificate the server has.
    Any,
    /// A certificate for `localhost` of this authority (PEM).
    Verified(String),
}

/// How the compressed protocol packs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// zlib.
    Zlib,
    /// zstd.
    Zstd,
}

#[derive(Debug)]
enum Pipe {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Gone,
}

/// A connection's bytes.
#[derive(Debug)]
pub struct Stream {
    pipe: Pipe,
    packing: Option<Packing>,
    sequence: u8,
    packed: Vec<u8>,
    /// A large write under way; the next one waits for it.
    writing: Option<std::thread::JoinHandle<()>>,
}

/// What a read gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// These bytes, perhaps none yet: part of a compressed packet.
    Bytes(Vec<u8>),
    /// Nothing within the time.
    Nothing,
    /// The other side closed.
    Closed,
}

impl Stream {
    /// A connection to 127.0.0.1.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn open(port: u16) -> std::io::Result<Self> {
        let socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_nodelay(true)?;
        Ok(Self { pipe: Pipe::Plain(socket), packing: None, sequence: 0, packed: Vec::new(), writing: None })
    }

    fn socket(&self) -> Option<&TcpStream> {
        match &self.pipe {
            Pipe::Plain(socket) => Some(socket),
            Pipe::Tls(stream) => Some(&stream.sock),
            Pipe::Gone => None,
        }
    }

    /// Whether TLS is on.
    pub fn is_tls(&self) -> bool {
        matches!(self.pipe, Pipe::Tls(_))
    }

    /// From here on under TLS.
    ///
    /// # Errors
    /// When the handshake fails.
    pub fn upgrade(&mut self, tls: &Tls) -> std::io::Result<()> {
        let Pipe::Plain(mut socket) = std::mem::replace(&mut self.pipe, Pipe::Gone) else { return Ok(()) };
        let name = ServerName::try_from("localhost").expect("a name");
        let mut connection = ClientConnection::new(Arc::new(config(tls)), name).expect("a configuration");
        socket.set_read_timeout(Some(super::PATIENCE))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        self.pipe = Pipe::Tls(Box::new(StreamOwned::new(connection, socket)));
        Ok(())
    }

    /// From here on compressed.
    pub fn compress(&mut self, packing: Packing) {
        self.packing = Some(packing);
    }

    /// A new command begins: compressed packets are numbered from 0.
    pub fn restart(&mut self) {
        self.sequence = 0;
    }

    /// Sends bytes. A connection that is gone shows when reading.
    pub fn send(&mut self, bytes: &[u8]) {
        let packed = match self.packing {
            Some(packing) => self.pack(packing, bytes),
            None => bytes.to_vec(),
        };
        if let Some(writing) = self.writing.take() {
            writing.join().expect("a write does not panic");
        }
        match &mut self.pipe {
            // A large write can block while the other side waits for us to read: both directions must move.
            Pipe::Plain(socket) if packed.len() >= 32 * 1024 => {
                let mut writer = socket.try_clone().expect("a socket can be cloned");
                self.writing = Some(std::thread::spawn(move || drop(writer.write_all(&packed))));
            }
            Pipe::Plain(socket) => drop(socket.write_all(&packed)),
            Pipe::Tls(stream) => drop(stream.write_all(&packed).and_then(|()| stream.flush())),
            Pipe::Gone => {}
        }
    }

    fn pack(&mut self, packing: Packing, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for chunk in bytes.chunks(super::packet::LONGEST) {
            // Short ones are not worth it; length 0 says so.
            let (body, length) = match (chunk.len() < 50, packing) {
                (true, _) => (chunk.to_vec(), 0),
                (false, Packing::Zlib) => {
                    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
                    encoder.write_all(chunk).expect("memory");
                    (encoder.finish().expect("memory"), chunk.len())
                }
                (false, Packing::Zstd) => (zstd::encode_all(chunk, 3).expect("memory"), chunk.len()),
            };
            out.extend(&u32::try_from(body.len()).expect("24 bits").to_le_bytes()[..3]);
            out.push(self.sequence);
            out.extend(&u32::try_from(length).expect("24 bits").to_le_bytes()[..3]);
            out.extend(body);
            self.sequence = self.sequence.wrapping_add(1);
        }
        out
    }

    /// Reads what is there, waiting at most so long.
    pub fn read(&mut self, wait: Duration) -> Received {
        let mut buffer = vec![0; 64 * 1024];
        let Some(socket) = self.socket() else { return Received::Closed };
        socket.set_read_timeout(Some(wait.max(Duration::from_millis(1)))).expect("a socket option");
        let read = match &mut self.pipe {
            Pipe::Plain(socket) => socket.read(&mut buffer),
            Pipe::Tls(stream) => stream.read(&mut buffer),
            Pipe::Gone => Ok(0),
        };
        match read {
            Ok(0) => Received::Closed,
            Ok(count) => Received::Bytes(self.unpack(&buffer[..count])),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Received::Nothing,
            Err(_) => Received::Closed,
        }
    }

    fn unpack(&mut self, bytes: &[u8]) -> Vec<u8> {
        let Some(packing) = self.packing else { return bytes.to_vec() };
        self.packed.extend(bytes);
        let mut out = Vec::new();
        while let Some(header) = self.packed.get(..7) {
            let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], 0]) as usize;
            let (length, plain) = (number(0), number(4));
            let Some(body) = self.packed.get(7..7 + length) else { break };
            self.sequence = header[3].wrapping_add(1);
            match (plain, packing) {
                (0, _) => out.extend(body),
                (_, Packing::Zlib) => drop(ZlibDecoder::new(body).read_to_end(&mut out).expect("a zlib stream")),
                (_, Packing::Zstd) => out.extend(zstd::decode_all(body).expect("a zstd stream")),
            }
            self.packed.drain(..7 + length);
        }
        out
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) {
        if let Some(socket) = self.socket() {
            let _ = socket.shutdown(Shutdown::Write);
        }
    }
}

fn config(tls: &Tls) -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().expect("TLS 1.2 and 1.3");
    match tls {
        Tls::Verified(pem) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM")).expect("a root");
            builder.with_root_certificates(roots).with_no_client_auth()
        }
        Tls::Off | Tls::Any => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))).with_no_client_auth()
        }
    }
}

/// Trusts every certificate.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
