//! A process with scripts behind its API, on loopback.

use gillnet_api::{
    Backend, Doors, EntryKey, LiveStore, NoStats, Page, PageQuery, PcapFormat, Refused, Speech,
    StatsQuery, Status, StreamKey, Token,
};
use gillnet_kfl::{Env, Filter};
use gillnet_names::{Names, NamesConfig};
use gillnet_scripts::{Config, NoCluster, Scripts, SystemClock, TappedStreams};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

pub(crate) const TOKEN: &str = "0123456789abcdef";

/// Shows nothing but scripts.
struct OnlyScripts(Option<Scripts>);

impl Backend for OnlyScripts {
    fn status(&self) -> Status {
        Status::default()
    }

    fn speech(&self) -> Arc<Speech> {
        Arc::default()
    }

    fn page(&self, _: &PageQuery) -> Result<Page, Refused> {
        Err(Refused("nothing is captured here".into()))
    }

    fn stats(&self, _: &StatsQuery) -> Result<Vec<u8>, NoStats> {
        Err(Refused("nothing is captured here".into()).into())
    }

    fn entry(&self, _: &EntryKey, _: &Filter) -> Result<Option<Vec<u8>>, Refused> {
        Ok(None)
    }

    fn stream(&self, _: &StreamKey, _: PcapFormat) -> Result<Option<Vec<u8>>, Refused> {
        Ok(None)
    }

    fn live(&self) -> Option<&Arc<LiveStore>> {
        None
    }

    fn scripts(&self) -> Option<&Scripts> {
        self.0.as_ref()
    }
}

/// Scripts of the folder `scripts`, with others to be added to `added`, and their files in `data`.
pub(crate) fn config(home: &Path) -> Config {
    let mut config = Config::new("node", "10.0.0.1", "00000000000000ff", home.join("data"));
    config.sources.folders = vec![home.join("scripts")];
    config.sources.added = Some(home.join("added"));
    config
}

/// Starts them.
pub(crate) fn scripts(home: &Path, change: impl FnOnce(&mut Config)) -> Scripts {
    let mut config = config(home);
    change(&mut config);
    let doors = gillnet_scripts::Doors {
        env: Arc::new(Env::new(&gillnet_protocols::env())),
        names: Arc::new(Names::new(NamesConfig::default()).unwrap()),
        streams: Arc::new(TappedStreams::default()),
        clock: Arc::new(SystemClock),
        cluster: Arc::new(NoCluster),
        on_demand: None,
    };
    Scripts::start(config, doors).unwrap()
}

/// Serves them until the runtime ends or the task is aborted; gives the address.
pub(crate) async fn serve(
    at: SocketAddr,
    scripts: Option<Scripts>,
) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind(at).await.unwrap();
    let at = listener.local_addr().unwrap();
    let doors = Doors {
        token: Token::own(TOKEN).unwrap(),
        hosts: Vec::new(),
    };
    let backend = Arc::new(OnlyScripts(scripts));
    let served = tokio::spawn(async move {
        gillnet_api::serve(listener, backend, doors, std::future::pending())
            .await
            .unwrap();
    });
    (at, served)
}
