//! nginx as a plain proxy in one process: what the others are compared with.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::places;
use crate::process::Process;

/// Starts it in front of `upstream`; gives where it listens.
///
/// # Errors
/// It is not installed, or does not start.
pub fn start(directory: &Path, upstream: SocketAddr) -> io::Result<(Process, SocketAddr)> {
    let missing = || io::Error::new(io::ErrorKind::NotFound, "nginx is not installed");
    let program = places::installed("nginx").ok_or_else(missing)?;
    let address = places::free_address()?;
    let config = directory.join("nginx.conf");
    std::fs::write(&config, text(directory, address, upstream))?;
    let mut command = Command::new(program);
    command.arg("-p").arg(directory).arg("-c").arg(&config).arg("-e").arg(directory.join("nginx-error.log"));
    let mut process = Process::start(&mut command, &directory.join("nginx.log"))?;
    process.wait_for(address)?;
    Ok((process, address))
}

fn text(directory: &Path, address: SocketAddr, upstream: SocketAddr) -> String {
    let directory = directory.display();
    format!(
        "daemon off;\n\
         master_process off;\n\
         worker_processes 1;\n\
         pid {directory}/nginx.pid;\n\
         error_log {directory}/nginx-error.log;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n\
           access_log off;\n\
           client_body_temp_path {directory}/t1; proxy_temp_path {directory}/t2; fastcgi_temp_path {directory}/t3;\n\
           uwsgi_temp_path {directory}/t4; scgi_temp_path {directory}/t5;\n\
           keepalive_requests 1000000000;\n\
           large_client_header_buffers 4 32k;\n\
           upstream app {{ server {upstream}; keepalive 128; keepalive_requests 1000000000; }}\n\
           server {{\n\
             listen {address};\n\
             location / {{\n\
               proxy_pass http://app;\n\
               proxy_http_version 1.1;\n\
               proxy_set_header Connection \"\";\n\
               proxy_set_header Host $host;\n\
               proxy_set_header X-Forwarded-For $remote_addr;\n\
               proxy_set_header X-Forwarded-Proto $scheme;\n\
               proxy_set_header X-Forwarded-Host $host;\n\
             }}\n\
           }}\n\
         }}\n"
    )
}
