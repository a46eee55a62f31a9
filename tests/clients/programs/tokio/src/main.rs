//! The same as scenario.py, for tokio-postgres.

use std::env;
use std::error::Error;
use std::io::BufRead;

use rustls::pki_types::{pem::PemObject, CertificateDer};
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

const TOKEN: &str = "SELECT azure_ad_auth.session_claims() ->> 'uti'";
const SLEEP: &str = "SELECT pg_sleep(600)";

type Said<T> = Result<T, Box<dyn Error>>;

fn tls() -> Said<MakeRustlsConnect> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(env::var("PGSSLROOTCERT")?)? {
        roots.add(certificate?)?;
    }
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

async fn connect(role: &str, file: &str) -> Said<Client> {
    let address = format!("host={} port={} dbname=postgres", env::var("PGHOST")?, env::var("PGPORT")?);
    let mut config: Config = address.parse()?;
    let token = std::fs::read(file)?;
    // shown: tokio
    config.user(role).password(token).ssl_mode(tokio_postgres::config::SslMode::Require);
    let (client, connection) = config.connect(tls()?).await?;
    // end
    tokio::spawn(connection);
    Ok(client)
}

async fn ask(client: &Client, query: &str) -> Said<String> {
    Ok(client.query_one(query, &[]).await?.try_get(0)?)
}

async fn cancel(one: &Client, other: &Client) -> Said<String> {
    let sleeps =
        format!("SELECT count(*)::text FROM pg_stat_activity WHERE query = '{SLEEP}' AND state = 'active'");
    let interrupt = async {
        while ask(other, &sleeps).await? == "0" {}
        one.cancel_token().cancel_query(tls()?).await?;
        Said::Ok(())
    };
    let (slept, interrupted) = tokio::join!(one.simple_query(SLEEP), interrupt);
    interrupted?;
    let said = slept.err().and_then(|error| Some(error.as_db_error()?.message().to_owned()));
    if said.as_deref() != Some("canceling statement due to user request") {
        return Err(format!("it slept: {said:?}").into());
    }
    Ok(format!("canceled {}", ask(one, "SELECT session_user::text").await?))
}

async fn play(parts: &[&str]) -> Said<String> {
    let (name, role, file) = (parts[0], parts[1], parts[2]);
    let one = connect(role, file).await?;
    match name {
        "refresh" => {
            let other = connect(role, parts[3]).await?;
            Ok(format!("{} {}", ask(&one, TOKEN).await?, ask(&other, TOKEN).await?))
        }
        "cancel" => cancel(&one, &connect(role, file).await?).await,
        _ => ask(&one, "SELECT session_user::text").await,
    }
}

/// What a user reads who prints an error with its causes.
fn with_causes(error: &dyn Error) -> String {
    let (mut said, mut next) = (error.to_string(), error.source());
    while let Some(cause) = next {
        said = format!("{said}: {cause}");
        next = cause.source();
    }
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line");
        match play(&line.split('\t').collect::<Vec<_>>()).await {
            Ok(said) => println!("ok\t{said}"),
            Err(error) => println!("error\t{}", with_causes(error.as_ref())),
        }
    }
}
