"""Acquires a token in the ways that Azure documents, and logs in with it by psycopg.

A line names a way and a role. The tenant's addresses and credentials come from the environment.
"""

import os

import azure.identity
import azure_postgresql_auth.psycopg3
import msal
import psycopg
import requests
import scenario

authority = os.environ["AUTHORITY"]
tenant = os.environ["TENANT"]
client = os.environ["CLIENT"]
database = os.environ["AUDIENCE"]
ca = os.environ["AUTHORITY_CA"]
# What only a tenant that is not Microsoft's needs.
local = {"authority": authority, "disable_instance_discovery": True, "connection_verify": ca}
public = {"instance_discovery": False, "verify": ca}
verified = {"verify": ca}


def password():
    user, secret = os.environ["USER_NAME"], os.environ["USER_PASSWORD"]
    # shown: password
    form = {"grant_type": "password", "client_id": client, "scope": f"{database}/.default"}
    form |= {"username": user, "password": secret}
    answer = requests.post(f"{authority}/{tenant}/oauth2/v2.0/token", data=form, timeout=30, **verified)
    token = answer.json()["access_token"]
    # end
    return token


def device():
    # shown: device
    application = msal.PublicClientApplication(client, authority=f"{authority}/{tenant}", **public)
    flow = application.initiate_device_flow([f"{database}/.default"])
    # flow["message"] tells the user where to sign in, with the second factor, and with which code.
    token = application.acquire_token_by_device_flow(flow)["access_token"]
    # end
    return token


def interactive():
    # shown: interactive
    application = msal.PublicClientApplication(client, authority=f"{authority}/{tenant}", **public)
    # The user's browser opens. The application is registered with the redirect URI http://localhost.
    token = application.acquire_token_interactive([f"{database}/.default"])["access_token"]
    # end
    return token


def secret():
    client_secret = os.environ["CLIENT_SECRET"]
    # shown: secret
    credential = azure.identity.ClientSecretCredential(tenant, client, client_secret, **local)
    token = credential.get_token(f"{database}/.default").token
    # end
    return token


def certificate():
    pem = scenario.read(os.environ["CLIENT_CERTIFICATE"])
    # shown: certificate
    proof = {"private_key": pem, "public_certificate": pem}  # the text of a file with both
    application = msal.ConfidentialClientApplication(
        client, client_credential=proof, authority=f"{authority}/{tenant}", **public
    )
    token = application.acquire_token_for_client([f"{database}/.default"])["access_token"]
    # end
    return token


def system_assigned():
    # shown: system_assigned
    credential = azure.identity.ManagedIdentityCredential()
    token = credential.get_token(f"{database}/.default").token
    # end
    return token


def user_assigned():
    identity = os.environ["IDENTITY"]
    # shown: user_assigned
    credential = azure.identity.ManagedIdentityCredential(client_id=identity)
    token = credential.get_token(f"{database}/.default").token
    # end
    return token


def workload():
    file = os.environ["FEDERATED_TOKEN"]
    # shown: workload
    credential = azure.identity.WorkloadIdentityCredential(
        tenant_id=tenant, client_id=client, token_file_path=file, **local
    )
    token = credential.get_token(f"{database}/.default").token
    # end
    return token


def log_in_by_azure_postgresql_auth():
    identity = os.environ["IDENTITY"]
    # shown: azure_postgresql_auth
    credential = azure.identity.ManagedIdentityCredential(client_id=identity)
    with azure_postgresql_auth.psycopg3.EntraConnection.connect(credential=credential) as connection:
        # end
        return scenario.ask(connection, scenario.USER)


def play(way, role, _tokens):
    if way == "azure_postgresql_auth":
        return log_in_by_azure_postgresql_auth()
    with psycopg.connect(user=role, password=globals()[way]()) as connection:
        return scenario.ask(connection, scenario.USER)


scenario.run_each(play)
