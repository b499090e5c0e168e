//! From an address to a connection: TCP, unix socket or TLS, to a server, to the one that sentinels name, or to a
//! cluster. Connections speak RESP3, so that news come over the one connection that commands go over.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;

use redis::aio::{ConnectionLike, MultiplexedConnection, SendError};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Cmd, ProtocolVersion, PushInfo, RedisConnectionInfo, RedisResult, TlsCertificates,
    TlsMode, Value,
};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::clock::Clock;
use crate::store::redis::fault::Fault;
use crate::store::redis::settings::{Address, Credentials, Host, Settings, Transport};
use crate::store::redis::tls::{self, TlsError};
use crate::store::redis::words::text;

/// Tries of one command in a cluster whose slots move; all of them within the time of one command.
const CLUSTER_RETRIES: u32 = 3;

/// What is told of news; must not block.
pub(super) type Listener = Arc<dyn Fn(PushInfo) + Send + Sync>;

/// Makes connections.
#[derive(Clone)]
pub(super) struct Dialer {
    settings: Arc<Settings>,
    tls: Option<TlsConnector>,
    clock: Clock,
}

/// A connection; clones share it, and any runtime may ask over it.
#[derive(Clone)]
pub(super) enum Connection {
    /// To one server.
    Server(MultiplexedConnection),
    /// To a cluster.
    Cluster(Box<ClusterConnection>),
}

/// What carries the bytes of a connection: to be run for as long as it is wanted, ends when it fails. Connections
/// to a cluster look after themselves.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Connection {
    pub(super) async fn ask(&self, command: &Cmd) -> RedisResult<Value> {
        let answer = match self {
            Self::Server(server) => server.clone().req_packed_command(command).await?,
            Self::Cluster(cluster) => cluster.clone().req_packed_command(command).await?,
        };
        // An error may come as a value.
        answer.extract_error()
    }

    async fn subscribe(&mut self, channel: &str) -> RedisResult<()> {
        match self {
            Self::Server(server) => server.subscribe(channel).await,
            Self::Cluster(cluster) => cluster.subscribe(channel).await,
        }
    }
}

impl Dialer {
    /// A dialer for these settings.
    ///
    /// # Errors
    /// [`TlsError`] when there can be no TLS.
    pub(super) fn new(settings: Arc<Settings>, clock: Clock) -> Result<Self, TlsError> {
        let tls = match &settings.transport {
            Transport::Plain => None,
            Transport::Tls { authorities } => {
                Some(TlsConnector::from(Arc::new(tls::client_config(authorities.as_deref())?)))
            }
        };
        Ok(Self { settings, tls, clock })
    }

    /// Connects, and subscribes to a channel.
    pub(super) async fn dial(
        &self,
        channel: &str,
        listener: Listener,
    ) -> Result<(Connection, Driver), Fault> {
        let settings = &self.settings;
        let (mut connection, mut driver) = match &settings.address {
            Address::Server(host) => self.server(host, listener).await?,
            Address::Socket(path) => {
                let protocol = protocol(&settings.credentials, settings.database);
                let connecting = UnixStream::connect(path);
                let stream = self.in_time(async { Ok(connecting.await?) }).await?;
                self.greet(stream, &protocol, Some(listener)).await?
            }
            Address::Sentinels { hosts, master } => self.follow(hosts, master, listener).await?,
            Address::Cluster(hosts) => {
                let driver: Driver = Box::pin(pending());
                (self.cluster(hosts, listener).await?, driver)
            }
        };
        // What carries the bytes has to run for the answer to come.
        tokio::select! {
            subscribed = self.in_time(async { Ok(connection.subscribe(channel).await?) }) => subscribed?,
            () = &mut driver => return Err(Fault::Connection("it was closed".to_owned())),
        }
        Ok((connection, driver))
    }

    /// Asks the sentinels, one after the other, until one names a server that is in charge.
    async fn follow(
        &self,
        hosts: &[Host],
        master: &str,
        listener: Listener,
    ) -> Result<(Connection, Driver), Fault> {
        let mut fault = Fault::NoMaster;
        for sentinel in hosts {
            let named = match self.named_by(sentinel, master).await {
                Ok(named) => named,
                Err(why) => {
                    fault = why;
                    continue;
                }
            };
            match self.in_charge(&named, Arc::clone(&listener)).await {
                Ok(connected) => return Ok(connected),
                Err(why) => fault = why,
            }
        }
        Err(fault)
    }

    /// Where the server is, in the words of this sentinel. Most sentinels ask for no password; one that does gets
    /// the server's.
    async fn named_by(&self, sentinel: &Host, master: &str) -> Result<Host, Fault> {
        let anonymous = protocol(&Credentials::default(), 0);
        let answer = self.ask_once(sentinel, &anonymous, master).await;
        let answer = match answer {
            Err(Fault::Credentials) => {
                self.ask_once(sentinel, &protocol(&self.settings.credentials, 0), master).await?
            }
            other => other?,
        };
        let named = answer.as_sequence().and_then(|parts| {
            let [name, port] = parts else { return None };
            Some(Host { name: text(name)?.into(), port: text(port)?.parse().ok()? })
        });
        named.ok_or(Fault::NoMaster)
    }

    async fn ask_once(
        &self,
        sentinel: &Host,
        protocol: &RedisConnectionInfo,
        master: &str,
    ) -> Result<Value, Fault> {
        let (connection, driver) = self.open(sentinel, protocol, None).await?;
        let mut command = redis::cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
        self.exchange(&connection, driver, &command).await.map(|(answer, _)| answer)
    }

    /// A connection to a server that says itself that it is in charge: a sentinel may not have heard yet.
    async fn in_charge(&self, host: &Host, listener: Listener) -> Result<(Connection, Driver), Fault> {
        let (connection, driver) = self.server(host, listener).await?;
        let (role, driver) = self.exchange(&connection, driver, &redis::cmd("ROLE")).await?;
        let role = role.as_sequence().and_then(<[Value]>::first).and_then(text);
        if role == Some("master") { Ok((connection, driver)) } else { Err(Fault::NoMaster) }
    }

    /// One command over a connection that nobody runs yet.
    async fn exchange(
        &self,
        connection: &Connection,
        mut driver: Driver,
        command: &Cmd,
    ) -> Result<(Value, Driver), Fault> {
        let answer = tokio::select! {
            answer = self.in_time(async { Ok(connection.ask(command).await?) }) => answer?,
            () = &mut driver => return Err(Fault::Connection("it was closed".to_owned())),
        };
        Ok((answer, driver))
    }

    async fn server(&self, host: &Host, listener: Listener) -> Result<(Connection, Driver), Fault> {
        let protocol = protocol(&self.settings.credentials, self.settings.database);
        self.open(host, &protocol, Some(listener)).await
    }

    async fn open(
        &self,
        host: &Host,
        protocol: &RedisConnectionInfo,
        listener: Option<Listener>,
    ) -> Result<(Connection, Driver), Fault> {
        let connecting = TcpStream::connect((&*host.name, host.port));
        let stream = self.in_time(async { Ok(connecting.await?) }).await?;
        stream.set_nodelay(true)?;
        let Some(connector) = &self.tls else { return self.greet(stream, protocol, listener).await };
        let name = ServerName::try_from(host.name.to_string());
        let name = name.map_err(|_| Fault::Connection("its name is none for a certificate".to_owned()))?;
        let securing = connector.connect(name, stream);
        let stream = self.in_time(async { Ok(securing.await?) }).await?;
        self.greet(stream, protocol, listener).await
    }

    async fn greet<S>(
        &self,
        stream: S,
        protocol: &RedisConnectionInfo,
        listener: Option<Listener>,
    ) -> Result<(Connection, Driver), Fault>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut config =
            AsyncConnectionConfig::new().set_response_timeout(Some(self.settings.timeout.into()));
        if let Some(listener) = listener {
            config = config.set_push_sender(push_to(listener));
        }
        let greeting = MultiplexedConnection::new_with_config(protocol, stream, config);
        let (connection, driver) = self.in_time(async { Ok(greeting.await?) }).await?;
        Ok((Connection::Server(connection), Box::pin(driver)))
    }

    async fn cluster(&self, hosts: &[Host], listener: Listener) -> Result<Connection, Fault> {
        let nodes = hosts.iter().map(|host| (host.name.to_string(), host.port));
        let timeout = self.settings.timeout.into();
        let mut builder = ClusterClient::builder(nodes)
            .use_protocol(ProtocolVersion::RESP3)
            .retries(CLUSTER_RETRIES)
            .connection_timeout(timeout)
            .response_timeout(timeout)
            .push_sender(push_to(listener));
        let Credentials { user, password } = &self.settings.credentials;
        if let Some(user) = user {
            builder = builder.username(user);
        }
        if let Some(password) = password {
            builder = builder.password(password.expose());
        }
        if let Transport::Tls { authorities } = &self.settings.transport {
            let certificates = TlsCertificates { client_tls: None, root_cert: authorities.clone() };
            builder = builder.tls(TlsMode::Secure).certs(certificates);
        }
        let client = builder.build()?;
        let connecting = client.get_async_connection();
        let cluster = self.in_time(async { Ok(connecting.await?) }).await?;
        Ok(Connection::Cluster(Box::new(cluster)))
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        self.clock.within(self.settings.timeout, work).await.unwrap_or(Err(Fault::Timeout))
    }
}

fn protocol(credentials: &Credentials, database: u32) -> RedisConnectionInfo {
    let mut protocol =
        RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3).set_db(i64::from(database));
    if let Some(user) = &credentials.user {
        protocol = protocol.set_username(user);
    }
    if let Some(password) = &credentials.password {
        protocol = protocol.set_password(password.expose());
    }
    protocol
}

fn push_to(listener: Listener) -> impl Fn(PushInfo) -> Result<(), SendError> {
    move |info| {
        listener(info);
        Ok(())
    }
}
