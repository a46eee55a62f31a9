"""Stands for a user's browser: opens a page, and sends the forms that follow, as the user there."""

import html.parser
import os
import sys

import requests


class Form(html.parser.HTMLParser):
    """The form on a page."""

    def __init__(self, page):
        super().__init__()
        self.address, self.fields = None, {}
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form":
            self.address = attributes["action"]
        elif tag == "input":
            self.fields[attributes["name"]] = attributes["value"]


user = {"login": os.environ["USER_NAME"], "passwd": os.environ["USER_PASSWORD"]}
address, fields = sys.argv[1], None
while address:
    # An address without a host is one of the same host.
    page = requests.request("POST" if fields else "GET", address, data=fields, timeout=30, verify=os.environ["AUTHORITY_CA"])
    page.raise_for_status()
    form = Form(page.text)
    address = form.address and requests.compat.urljoin(address, form.address)
    fields = {name: user.get(name, value) for name, value in form.fields.items()}
