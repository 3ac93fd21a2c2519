# Two stages: the first builds a virtual environment, the second is what runs.
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /opt/regulars
# The lock first: this layer is rebuilt only when it changes. What the tests alone need is left
# out, because nothing in `dependencies` asks for it.
COPY requirements.lock pyproject.toml ./
COPY app ./app
COPY schema ./schema
COPY resolvers ./resolvers
COPY auth ./auth
COPY README.md LICENSE ./
RUN /opt/regulars/bin/pip install --no-cache-dir --constraint requirements.lock \
      ".[postgres,sandbox]"

FROM python:3.11-slim
RUN useradd --system --uid 10001 --create-home --home-dir /home/regulars regulars
COPY --from=build /opt/regulars /opt/regulars
WORKDIR /srv/regulars
# From here and not from site-packages: the pages are found beside the packages.
COPY app ./app
COPY schema ./schema
COPY resolvers ./resolvers
COPY auth ./auth
COPY static ./static
COPY docs ./docs
RUN mkdir .data && chown regulars .data
USER regulars
ENV PATH=/opt/regulars/bin:$PATH \
    PYTHONPATH=/srv/regulars \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
EXPOSE 8000
VOLUME /srv/regulars/.data
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["regulars"]
CMD ["serve", "--host", "0.0.0.0"]
