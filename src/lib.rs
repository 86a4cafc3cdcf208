//! Tollgate: an AI gateway on Pingora. One base URL in front of every model provider, every token counted.
//!
//! As a plugin, a [`Gateway`] becomes services of any Pingora server:
//!
//! ```no_run
//! use pingora::server::Server;
//! use tollgate::{Conf, Gateway};
//!
//! let conf = Conf::load(None)?;
//! let gateway = Gateway::new(conf)?;
//! let mut server = Server::new_with_opt_and_conf(None, gateway.server_conf());
//! server.bootstrap();
//! let mut service = gateway.service(&server.configuration);
//! service.add_tcp("127.0.0.1:8080");
//! server.add_service(service);
//! server.run_forever();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod admin;
pub mod cli;
mod conf;
pub mod demo;
pub mod dialect;
mod front;
mod gateway;
mod jwks;
mod links;
mod provider;
mod proxy;
mod server;
mod store;
mod telemetry;

pub use conf::{Conf, ConfError};
pub use front::Front;
pub use gateway::{Gateway, StartError};
