//! Several relays behind one URL, where each connection may lead to another one.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use flame_aws::backend::Process;
use flame_aws::{Pool, PoolBuilder, Relay};
use flame_tests::process::drains_cleanly;
use flame_tests::relay::{KEY, TestRelay};
use flame_tests::{TempDir, Test, demo, impostor, process_pool, tests, until};
use futures_util::future::join_all;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const NODES: usize = 3;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        calls_survive_the_loss_of_the_parents_node,
        calls_survive_the_drain_of_the_parents_node,
        runners_and_parent_find_each_other_behind_nodes_without_addresses,
    ]
}

/// Forwards each connection to the next of its nodes, whether that node is there or not.
struct LoadBalancer {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl LoadBalancer {
    async fn in_front_of(nodes: &[TestRelay]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let nodes: Vec<_> = nodes.iter().map(TestRelay::address).collect();
        let serving = tokio::spawn(async move {
            for node in nodes.into_iter().cycle() {
                let (mut client, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut node = TcpStream::connect(node).await?;
                    tokio::io::copy_bidirectional(&mut client, &mut node).await
                });
            }
        });
        Self { address, serving }
    }

    fn pool(&self) -> PoolBuilder {
        let relay = Relay::new(format!("ws://{}", self.address)).key(KEY);
        process_pool("test").max(1).relay(relay)
    }
}

impl Drop for LoadBalancer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A relay that names its own address to parents.
fn node() -> TestRelay {
    let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    TestRelay::start_at(address, |config| config.address = Some(format!("ws://{address}")))
}

/// A pool whose only runner serves calls, and the index of its parent's node.
struct ServingPool {
    pool: Pool,
    runner: u32,
    home: usize,
}

impl ServingPool {
    async fn start(balancer: &LoadBalancer, nodes: &[TestRelay]) -> Self {
        let folder = TempDir::new();
        let backend = Process::new().env("DEMO_WRITE_PARENT_TO", folder.path());
        let pool = balancer.pool().backend(backend).start().await.unwrap();
        let runner = pool.call(demo::pid()).await.unwrap();
        let parent = impostor::flame_parent(&folder.files()[0]);
        let is_home = |node: &TestRelay| parent.addresses[0].starts_with(&node.url());
        let home = nodes.iter().position(is_home).unwrap();
        Self { pool, runner, home }
    }

    /// Starts calls, does something while they run, and checks that the runner answers all.
    async fn calls_survive(&self, disturb: impl FnOnce()) {
        let calls: Vec<_> = (0..4)
            .map(|_| tokio::spawn(self.pool.call(demo::nap(Duration::from_secs(2)))))
            .collect();
        until("the calls run", || self.pool.snapshot().leased == 4).await;
        disturb();
        for call in join_all(calls).await {
            assert_eq!(call.unwrap().unwrap(), self.runner);
        }
        let next = self.pool.call(demo::pid()).await.unwrap();
        assert_eq!(next, self.runner, "it is the same runner");
        drains_cleanly(&self.pool, &[self.runner]).await;
    }
}

async fn calls_survive_the_loss_of_the_parents_node() {
    let mut nodes: Vec<_> = (0..NODES).map(|_| node()).collect();
    let balancer = LoadBalancer::in_front_of(&nodes).await;
    let pool = ServingPool::start(&balancer, &nodes).await;
    pool.calls_survive(|| drop(nodes.swap_remove(pool.home))).await;
}

async fn calls_survive_the_drain_of_the_parents_node() {
    let nodes: Vec<_> = (0..NODES).map(|_| node()).collect();
    let balancer = LoadBalancer::in_front_of(&nodes).await;
    let pool = ServingPool::start(&balancer, &nodes).await;
    pool.calls_survive(|| nodes[pool.home].drain()).await;
}

/// Neither the runner nor the parent can address the node of the other, so both try until they meet.
async fn runners_and_parent_find_each_other_behind_nodes_without_addresses() {
    let nodes: Vec<_> = (0..NODES).map(|_| TestRelay::start()).collect();
    let balancer = LoadBalancer::in_front_of(&nodes).await;
    let pool = balancer.pool().start().await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    drains_cleanly(&pool, &[pid]).await;
}
