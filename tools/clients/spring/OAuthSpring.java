import org.springframework.security.oauth2.client.endpoint.OAuth2ClientCredentialsGrantRequest;
import org.springframework.security.oauth2.client.endpoint.RestClientClientCredentialsTokenResponseClient;
import org.springframework.security.oauth2.client.registration.ClientRegistration;
import org.springframework.security.oauth2.core.AuthorizationGrantType;

final class OAuthSpring {
  public static void main(String[] args) {
    var registration = ClientRegistration.withRegistrationId("burnkey")
        .authorizationGrantType(AuthorizationGrantType.CLIENT_CREDENTIALS)
        .tokenUri(System.getenv("TOKEN_URI"))
        .clientId(System.getenv("CLIENT_ID"))
        .clientSecret(System.getenv("KEY"))
        .scope(System.getenv("SCOPE"))
        .build();
    var answer = new RestClientClientCredentialsTokenResponseClient()
        .getTokenResponse(new OAuth2ClientCredentialsGrantRequest(registration));
    System.out.println(answer.getAccessToken().getTokenValue());
  }
}
