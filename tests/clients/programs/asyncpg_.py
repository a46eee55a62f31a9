import asyncio

import asyncpg
import scenario


async def play(name, role, tokens):
    def token():
        return scenario.read(tokens[0])

    # shown: asyncpg
    async with asyncpg.create_pool(user=role, password=token, min_size=1, max_size=2) as pool:
        # end
        async with pool.acquire() as one:
            if name == "login":
                return await one.fetchval(scenario.USER)
            tokens.pop(0) if name == "refresh" else None
            async with pool.acquire() as other:
                if name == "refresh":
                    return f"{await one.fetchval(scenario.TOKEN)} {await other.fetchval(scenario.TOKEN)}"
                sleep = asyncio.ensure_future(one.fetchval(scenario.SLEEP))
                while await other.fetchval(scenario.SLEEPS) == 0:
                    pass
                sleep.cancel()
                await asyncio.wait([sleep])
                return f"canceled {await one.fetchval(scenario.USER)}"


scenario.run_each(lambda *parts: asyncio.run(play(*parts)))
