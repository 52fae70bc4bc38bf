//! `mcp-store serve`.

use std::io::Write as _;
use std::net::IpAddr;
use std::path::Path;

use axum::http::uri::Scheme;
use mcp_forward::Server;
use mcp_store_web::{Builder, Token, Web};
use tower_mcp_store::query::Reader;

use super::proxy::{listen, tls};
use crate::args::Serve;
use crate::error::{self, CliError};
use crate::log::{self, LogFormat};
use crate::output::{Format, Output};
use crate::{interrupt, secret};

/// Serves the pages until a signal.
pub(crate) fn run(db: &Path, args: &Serve, output: &mut Output) -> Result<(), CliError> {
    if output.format() != Format::Table {
        let text = "serve has no records to write; it prints text";
        return Err(CliError::Message(text.to_owned()));
    }
    let reader = args.shared_key.give(&error::open(db)?)?;
    let _log = log::start(LogFormat::Text, false)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(reader, args, output))
}

async fn serve(reader: Reader, args: &Serve, output: &mut Output) -> Result<(), CliError> {
    let tls = tls::read(&args.tls)?;
    let listener = listen::bind(&args.listen, "--listen").await?;
    let listening = listener.local_addr()?;
    check(args, listening.ip(), tls.is_some())?;
    let has_tls = tls.is_some() || args.behind_tls_proxy;
    let web = builder(reader, args, listening.ip(), has_tls)?.build();
    let scheme = match tls {
        Some(_) => Scheme::HTTPS,
        None => Scheme::HTTP,
    };
    let mut server = Server::new();
    if let Some(files) = tls {
        tokio::spawn(tls::follow(files.clone()));
        server = server.tls(files);
    }
    let interrupted = interrupt::listen()?;
    let at = |path: &str| listen::url(&scheme, listening, path);
    output.line(&format!("the pages are at {}", at("/")))?;
    let link = match args.token_file {
        // A user who can read the file of the token needs no link.
        Some(_) => None,
        None => web.new_link()?,
    };
    if let Some(link) = &link {
        output.line(&format!("to sign in, open {}", at(link)))?;
    }
    output.line("press Ctrl-C to stop")?;
    output.flush()?;
    if args.open {
        open(&at(link.as_deref().unwrap_or("/")));
    }
    let app = web.router();
    let stopped = async {
        interrupted.await;
        web.close();
    };
    tokio::select! {
        () = server.serve(listener, app, stopped) => Ok(()),
        failed = print_links(&web, link.is_some(), at, output) => failed,
    }
}

/// Returns an error if the options would show the pages to others.
fn check(args: &Serve, listening: IpAddr, has_tls: bool) -> Result<(), CliError> {
    if listening.to_canonical().is_loopback() {
        return Ok(());
    }
    let address = &args.listen;
    let text = if args.no_token {
        "--no-token is for loopback only; pass --token-file instead".to_owned()
    } else if args.token_file.is_none() {
        format!(
            "other machines can reach {address}, so it needs --token-file PATH; make the file \
             with: (umask 077; openssl rand -hex 32 > PATH)"
        )
    } else if !has_tls && !args.behind_tls_proxy {
        format!(
            "other machines can reach {address}, so it needs --tls-cert and --tls-key, or \
             --behind-tls-proxy if a reverse proxy has the certificate"
        )
    } else {
        return Ok(());
    };
    Err(CliError::Message(text))
}

fn builder(
    reader: Reader,
    args: &Serve,
    listening: IpAddr,
    has_tls: bool,
) -> Result<Builder, CliError> {
    let mut builder = Web::builder(reader);
    if has_tls {
        builder = builder.https();
    }
    if !listening.is_unspecified() {
        builder = builder.allow_host(listening.into());
    }
    for host in &args.allow_host {
        builder = builder.allow_host(host.clone());
    }
    if args.no_token {
        return Ok(builder);
    }
    let token = match &args.token_file {
        Some(path) => Token::new(&secret::read(path)?).map_err(|error| {
            // The text may be a token with an error, so it is not shown.
            CliError::Message(format!("{}: {error}", path.display()))
        })?,
        None => Token::random()?,
    };
    Ok(builder.token(token))
}

/// Prints a link for another browser whenever one was used.
async fn print_links(
    web: &Web,
    has_link: bool,
    at: impl Fn(&str) -> String,
    output: &mut Output,
) -> Result<(), CliError> {
    if !has_link {
        return std::future::pending().await;
    }
    loop {
        web.link_used().await;
        if let Some(link) = web.new_link()? {
            output.line(&format!("for another browser, open {}", at(&link)))?;
            output.flush()?;
        }
    }
}

/// Opens a URL in the browser. If that fails, it logs a warning.
fn open(url: &str) {
    if let Err(error) = open::that_detached(url) {
        tracing::warn!("cannot open a browser, open the URL by hand: {error}");
    }
}
