import asyncpg
import scenario


async def log_in(role, token):
    # shown: asyncpg
    async with asyncpg.create_pool(user=role, password=token, min_size=1, max_size=2) as pool:
        # end
        return await pool.fetchval("SELECT session_user")


scenario.run(log_in)
