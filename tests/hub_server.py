"""A server on this machine that speaks the parts of the Hub that are used."""

import base64
import hashlib
import http.server
import json
import re
import threading
from urllib.parse import unquote, urlsplit

TOKENS = {"hf_ann": "ann", "hf_bob": "bob"}  # each user's token


class Hub:
  """Repositories by name, and an HTTP server that gives and takes them."""

  def __init__(self):
    self.repos = {}  # {name: {"private": …, "commits": [{path: bytes}]}}
    self.stored = {}  # large files by SHA-256
    self.asked = []  # (method, path) of each request
    handler = type("Handler", (_Handler,), {"hub": self})
    self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    self.url = f"http://127.0.0.1:{self._server.server_port}"
    self._thread = threading.Thread(
      target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
    )
    self._thread.start()

  def close(self):
    self._server.shutdown()
    self._server.server_close()
    self._thread.join()

  def files(self, repo):
    """Return the newest commit's files: {path: bytes}."""
    return self.repos[repo]["commits"][-1]


def commit_id(number):
  return hashlib.sha1(str(number).encode()).hexdigest()


class _Handler(http.server.BaseHTTPRequestHandler):
  hub: Hub
  protocol_version = "HTTP/1.1"

  def log_message(self, *_):
    pass

  def do_GET(self):
    self._answer("GET")

  def do_HEAD(self):
    self._answer("HEAD")

  def do_POST(self):
    self._answer("POST")

  def do_PUT(self):
    self._answer("PUT")

  def _answer(self, method):
    path = unquote(urlsplit(self.path).path)
    size = int(self.headers.get("Content-Length") or 0)
    self.body = self.rfile.read(size)
    self.hub.asked.append((method, path))
    self.user = TOKENS.get(self.headers.get("Authorization", "")[7:])
    if "Authorization" in self.headers and not self.user:
      return self._send(401, {"error": "Invalid credentials"})
    for wanted, pattern, function in _ROUTES:
      match = re.fullmatch(pattern, path)
      if match and method in wanted:
        return function(self, **match.groupdict())
    return self._send(404, {"error": f"no route for {method} {path}"})

  def _send(self, status, content=b"", **headers):
    if not isinstance(content, bytes):
      content = json.dumps(content).encode()
    self.send_response(status)
    headers = {"Content-Length": len(content)} | headers
    for name, value in headers.items():
      self.send_header(name.replace("_", "-"), str(value))
    self.end_headers()
    if self.command != "HEAD":
      self.wfile.write(content)

  def _repo(self, name, revision="main"):
    """Return (number of the commit, its files), or answer 404."""
    repo = self.hub.repos.get(name)
    if repo is None or (repo["private"] and self.user != name.split("/")[0]):
      self._send(
        404 if self.user else 401,
        {"error": "Repository not found"},
        X_Error_Code="RepoNotFound",
      )
      return None
    known = {commit_id(i): i for i in range(len(repo["commits"]))}
    known["main"] = len(repo["commits"]) - 1
    if revision not in known:
      self._send(404, {"error": "Invalid rev"}, X_Error_Code="RevisionNotFound")
      return None
    return known[revision], repo["commits"][known[revision]]

  def create(self):
    asked = json.loads(self.body)
    if not self.user:
      return self._send(401, {"error": "Log in"})
    if asked["organization"] not in (None, self.user):
      return self._send(403, {"error": "You may not write there"})
    name = f"{self.user}/{asked['name']}"
    if name in self.hub.repos:
      url = f"{self.hub.url}/{name}"
      return self._send(409, {"error": "You already have it", "url": url})
    private = asked.get("visibility") == "private" or asked.get("private")
    self.hub.repos[name] = {"private": bool(private), "commits": [{}]}
    return self._send(200, {"url": f"{self.hub.url}/{name}", "name": name})

  def info(self, name, revision="main"):
    if (found := self._repo(name, revision or "main")) is None:
      return None
    number, files = found
    return self._send(
      200,
      {
        "id": name,
        "sha": commit_id(number),
        "private": self.hub.repos[name]["private"],
        "siblings": [{"rfilename": path} for path in files],
      },
    )

  def tree(self, name, revision):
    if (found := self._repo(name, revision)) is None:
      return None
    return self._send(
      200,
      [
        {
          "type": "file",
          "path": path,
          "size": len(content),
          "oid": hashlib.sha1(content).hexdigest(),
        }
        for path, content in found[1].items()
      ],
    )

  def validate(self):
    return self._send(200, {"warnings": [], "errors": []})

  def preupload(self, name, revision):
    if not self._may_write(name):
      return None
    files = [
      {
        "path": file["path"],
        "uploadMode": "lfs"
        if file["path"].endswith((".safetensors", ".onnx"))
        else "regular",
        "shouldIgnore": False,
      }
      for file in json.loads(self.body)["files"]
    ]
    return self._send(200, {"files": files})

  def _may_write(self, name):
    if self.user == name.split("/")[0]:
      return True
    self._send(403, {"error": "You may not write there"})
    return False

  def batch(self, name):
    objects = [
      {
        **entry,
        "actions": {"upload": {"href": f"{self.hub.url}/lfs/{entry['oid']}"}},
      }
      for entry in json.loads(self.body)["objects"]
    ]
    return self._send(200, {"transfer": "basic", "objects": objects})

  def store(self, oid):
    assert hashlib.sha256(self.body).hexdigest() == oid
    self.hub.stored[oid] = self.body
    return self._send(200)

  def commit(self, name, revision):
    if not self._may_write(name):
      return None
    files = dict(self.hub.files(name))
    for line in self.body.splitlines():
      entry = json.loads(line)
      value = entry["value"]
      if entry["key"] == "file":
        files[value["path"]] = base64.b64decode(value["content"])
      elif entry["key"] == "lfsFile":
        files[value["path"]] = self.hub.stored[value["oid"]]
      elif entry["key"] == "deletedFile":
        del files[value["path"]]
    self.hub.repos[name]["commits"].append(files)
    oid = commit_id(len(self.hub.repos[name]["commits"]) - 1)
    url = f"{self.hub.url}/{name}/commit/{oid}"
    return self._send(200, {"commitUrl": url, "commitOid": oid})

  def resolve(self, name, revision, path):
    if (found := self._repo(name, revision)) is None:
      return None
    number, files = found
    if path not in files:
      return self._send(404, {}, X_Error_Code="EntryNotFound")
    etag = hashlib.sha256(files[path]).hexdigest()
    return self._send(
      200, files[path], ETag=f'"{etag}"', X_Repo_Commit=commit_id(number)
    )


_NAME = r"(?P<name>[\w.-]+/[\w.-]+)"
_ROUTES = (
  (("POST",), "/api/repos/create", _Handler.create),
  (("POST",), "/api/validate-yaml", _Handler.validate),
  (
    ("GET",),
    rf"/api/models/{_NAME}(/revision/(?P<revision>[^/]+))?",
    _Handler.info,
  ),
  (("GET",), rf"/api/models/{_NAME}/tree/(?P<revision>[^/]+)", _Handler.tree),
  (
    ("POST",),
    rf"/api/models/{_NAME}/preupload/(?P<revision>[^/]+)",
    _Handler.preupload,
  ),
  (
    ("POST",),
    rf"/api/models/{_NAME}/commit/(?P<revision>[^/]+)",
    _Handler.commit,
  ),
  (("POST",), rf"/{_NAME}\.git/info/lfs/objects/batch", _Handler.batch),
  (("PUT",), r"/lfs/(?P<oid>\w+)", _Handler.store),
  (
    ("GET", "HEAD"),
    rf"/{_NAME}/resolve/(?P<revision>[^/]+)/(?P<path>.+)",
    _Handler.resolve,
  ),
)
