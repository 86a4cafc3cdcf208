//! Tollgate inside a Pingora server of one's own: `cargo run --example embed -- 127.0.0.1:8081`.

use pingora::server::Server;
use tollgate::{Conf, Gateway};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8081".to_owned());
    let gateway = Gateway::new(Conf::load(None)?)?;
    let mut server = Server::new_with_opt_and_conf(None, gateway.server_conf());
    server.bootstrap();
    let mut service = gateway.service(&server.configuration);
    service.add_tcp(&address);
    server.add_service(service);
    // … and the server's own services beside it.
    server.run_forever()
}
