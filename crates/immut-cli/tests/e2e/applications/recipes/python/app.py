import sqlite3
import ssl

from flask import Flask
from markupsafe import _speedups

app = Flask(__name__)


@app.get("/")
def answer():
    rows = sqlite3.connect(":memory:").execute("SELECT 6 * 7").fetchone()
    return f"{_speedups.escape('<')} {rows[0]} {ssl.OPENSSL_VERSION}\n"
