// OHIF's files and Orthanc's DICOMweb on one origin, so that the browser needs no leave to talk to another.
import { createReadStream, statSync } from 'node:fs';
import http from 'node:http';
import { extname, join, normalize } from 'node:path';

const TYPES = {
  '.css': 'text/css',
  '.html': 'text/html',
  '.ico': 'image/x-icon',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
  '.woff2': 'font/woff2',
};
const TO_ORTHANC = ['/dicom-web', '/wado'];

/**
 * Serves OHIF's built files, passing DICOMweb on to Orthanc.
 * @param {{dist: string, appConfig: string, orthanc: number}} options folder of OHIF's files, its settings, Orthanc's port
 * @returns {Promise<http.Server>} listening on a free port of the loopback interface
 */
export async function startWebServer({ dist, appConfig, orthanc }) {
  const server = http.createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url, 'http://localhost').pathname);
    if (TO_ORTHANC.some((prefix) => path === prefix || path.startsWith(`${prefix}/`))) {
      passOn(request, response, orthanc);
    } else {
      sendFile(response, path === '/app-config.js' ? appConfig : fileOf(dist, path));
    }
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  return server;
}

function fileOf(dist, path) {
  const file = join(dist, normalize(path));
  // Paths that are no file are places inside of the application, which its start page finds by itself.
  return statSync(file, { throwIfNoEntry: false })?.isFile() ? file : join(dist, 'index.html');
}

function sendFile(response, file) {
  response.writeHead(200, { 'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream', 'Cache-Control': 'no-cache' });
  createReadStream(file).pipe(response);
}

function passOn(request, response, port) {
  // The Host header stays the browser's: Orthanc builds its links from it.
  const headers = { ...request.headers };
  let path = request.url;
  if (new URL(path, 'http://localhost').pathname.endsWith('/rendered')) {
    // Orthanc answers 400 to the size that OHIF asks for, and to any form but this.
    path = path.split('?')[0];
    headers.accept = 'image/jpeg';
  }
  const onward = http.request({ host: '127.0.0.1', port, path, method: request.method, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  onward.on('error', (error) => {
    if (!response.headersSent) response.writeHead(502);
    response.end(`Orthanc does not answer: ${error.message}`);
  });
  request.pipe(onward);
}
