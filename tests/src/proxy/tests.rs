use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::*;

/// A server that a test reads and writes by hand, and a proxy in front of it.
struct Site {
    server: TcpListener,
    proxy: Proxy,
}

impl Site {
    async fn new(clients: Clients, network: Network) -> Self {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::start_for(clients, server.local_addr().unwrap(), 1).await;
        proxy.set(network);
        Self { server, proxy }
    }

    async fn client(&self) -> TcpStream {
        TcpStream::connect(self.proxy.address).await.unwrap()
    }

    async fn pair(&self) -> (TcpStream, TcpStream) {
        let client = self.client().await;
        (client, self.server.accept().await.unwrap().0)
    }
}

fn test(run: impl Future<Output = ()>) {
    crate::runtime().block_on(async {
        tokio::time::timeout(Duration::from_secs(30), run).await.expect("the test is too slow");
    });
}

async fn byte(socket: &mut TcpStream) -> Option<u8> {
    socket.read_u8().await.ok()
}

#[test]
fn a_trickle_lets_few_bytes_pass_in_each_interval() {
    test(async {
        let site = Site::new(Clients::All, Network::Trickle(100)).await;
        let (mut client, mut server) = site.pair().await;
        let start = Instant::now();
        client.write_all(&[7; 2_000]).await.unwrap();
        let mut got = [0; 2_000];
        server.read_exact(&mut got).await.unwrap();
        assert_eq!(got, [7; 2_000]);
        assert!(start.elapsed() >= Duration::from_millis(200), "{:?}", start.elapsed());
    });
}

/// Marks the end of what a client sends.
const END: &[u8] = b"this is the end";

#[test]
fn garbage_is_inserted_once_and_the_bytes_around_it_pass() {
    test(async {
        let site = Site::new(Clients::All, Network::Garbage(5..6)).await;
        let (mut client, mut server) = site.pair().await;
        client.write_all(&[0; 1_000]).await.unwrap();
        client.write_all(END).await.unwrap();
        // The connection stays open: a proxy may reset one that ends.
        let mut got = Vec::new();
        while !got.ends_with(END) {
            got.push(byte(&mut server).await.expect("the connection stays open"));
        }
        got.truncate(got.len() - END.len());
        let inserted = got.len() - 1_000;
        assert!((1..=64).contains(&inserted), "{inserted} bytes");
        assert_eq!(got[..5], [0; 5]);
        assert_eq!(got[5 + inserted..], [0; 995]);
        assert!(got[5..5 + inserted].iter().any(|byte| *byte != 0));
    });
}

#[test]
fn a_later_connection_is_opened_before_an_earlier_one() {
    test(async {
        let site = Site::new(Clients::All, Network::Reordered).await;
        for _ in 0..5 {
            let mut clients = Vec::new();
            for number in [1, 2] {
                let mut client = site.client().await;
                client.write_all(&[number]).await.unwrap();
                clients.push(client);
            }
            for number in [2, 1] {
                let mut server = site.server.accept().await.unwrap().0;
                assert_eq!(byte(&mut server).await, Some(number));
            }
        }
    });
}

#[test]
fn a_connection_without_a_later_one_is_opened_in_the_end() {
    test(async {
        let site = Site::new(Clients::All, Network::Reordered).await;
        let (mut client, mut server) = site.pair().await;
        client.write_all(&[9]).await.unwrap();
        assert_eq!(byte(&mut server).await, Some(9));
    });
}

#[test]
fn a_partition_blocks_one_direction_until_the_network_changes() {
    test(async {
        for (blocked, to_server) in [(Direction::ToServer, true), (Direction::ToClient, false)] {
            let site = Site::new(Clients::All, Network::Partitioned(blocked)).await;
            let (client, server) = site.pair().await;
            let (mut from, mut to) = if to_server { (client, server) } else { (server, client) };
            from.write_all(&[1]).await.unwrap();
            to.write_all(&[2]).await.unwrap();
            // The other direction passes, although its byte was sent later.
            assert_eq!(byte(&mut from).await, Some(2));
            assert!(to.try_read(&mut [0]).is_err(), "{blocked:?} passes");
            site.proxy.set(Network::Normal);
            assert_eq!(byte(&mut to).await, Some(1));
        }
    });
}

#[test]
fn a_proxy_for_runners_closes_the_connections_of_parents_and_the_reverse() {
    test(async {
        for (clients, passes, closed) in [
            (Clients::Runners, "GET /v1/runner/f-1", "GET /v1/socket/1"),
            (Clients::Parents, "GET /v1/parent HTTP", "GET /v1/runner/f-1"),
        ] {
            let site = Site::new(clients, Network::Normal).await;
            let mut client = site.client().await;
            client.write_all(closed.as_bytes()).await.unwrap();
            assert_eq!(byte(&mut client).await, None);
            let mut client = site.client().await;
            client.write_all(passes.as_bytes()).await.unwrap();
            let mut server = site.server.accept().await.unwrap().0;
            assert_eq!(byte(&mut server).await, Some(b'G'));
            assert_eq!(site.proxy.connections(), 1);
        }
    });
}
